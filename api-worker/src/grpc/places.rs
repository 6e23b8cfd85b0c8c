//! How many connections and requests there may be: of one process, and of all.
//!
//! Who floods the interface waits for itself. A process is told from others by the ids that the kernel gives for its socket.
//! Processes of a namespace that cannot be seen into have no pid of their own here: all of one user count as one.
//!
//! Lists are what can be asked for most cheaply and costs most to answer. Few of one process are worked on at a time, and an
//! answer that it does not take keeps the place for much longer than it took to make.

use crate::limits::{
    GRPC_PROCESS_CONNECTIONS, GRPC_PROCESS_READS, GRPC_PROCESS_REQUESTS, GRPC_STREAMS,
    GRPC_UNTAKEN_BOUND, GRPC_UNTAKEN_TIMES,
};
use ipc::limits::{GRPC_CONNECTIONS, GRPC_REQUESTS};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

/// Whose places they are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Owner {
    /// Process id, or 0.
    pub pid: i32,
    /// User id.
    pub uid: u32,
}

/// All places.
#[derive(Clone, Debug)]
pub struct Places(Arc<All>);

#[derive(Debug)]
struct All {
    connections: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    processes: Mutex<HashMap<Owner, Weak<Process>>>,
}

/// Those of one process; known as long as one of them is not free.
#[derive(Debug)]
struct Process {
    owner: Owner,
    all: Arc<All>,
    connections: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

/// The place of a connection, and those of its requests.
#[derive(Debug)]
pub struct Seat {
    process: Arc<Process>,
    requests: Arc<Semaphore>,
    served: Arc<AtomicBool>,
    _places: [OwnedSemaphorePermit; 2],
}

/// The place of a request, until it is done and its answer taken.
#[derive(Debug)]
pub struct Place {
    process: Arc<Process>,
    read: Option<OwnedSemaphorePermit>,
    begun: OnceLock<Instant>,
    took: OnceLock<Duration>,
    is_taken: AtomicBool,
    served: Arc<AtomicBool>,
    _places: [OwnedSemaphorePermit; 3],
}

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(All {
            connections: Arc::new(Semaphore::new(GRPC_CONNECTIONS)),
            requests: Arc::new(Semaphore::new(GRPC_REQUESTS)),
            processes: Mutex::new(HashMap::new()),
        }))
    }
}

impl All {
    fn processes(&self) -> MutexGuard<'_, HashMap<Owner, Weak<Process>>> {
        // Nothing panics while the lock is held; a poisoned map would still be whole.
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn process(self: &Arc<Self>, owner: Owner) -> Arc<Process> {
        let mut processes = self.processes();
        if let Some(known) = processes.get(&owner).and_then(Weak::upgrade) {
            return known;
        }
        let process = Arc::new(Process {
            owner,
            all: Arc::clone(self),
            connections: Arc::new(Semaphore::new(GRPC_PROCESS_CONNECTIONS)),
            requests: Arc::new(Semaphore::new(GRPC_PROCESS_REQUESTS)),
            reads: Arc::new(Semaphore::new(GRPC_PROCESS_READS)),
        });
        processes.insert(owner, Arc::downgrade(&process));
        process
    }
}

impl Places {
    /// A place for a connection of this process, if there is one.
    pub fn seat(&self, owner: Owner) -> Option<Seat> {
        let room = Arc::clone(&self.0.connections).try_acquire_owned().ok()?;
        let process = self.0.process(owner);
        let own = Arc::clone(&process.connections).try_acquire_owned().ok()?;
        Some(Seat {
            process,
            requests: Arc::new(Semaphore::new(GRPC_STREAMS as usize)),
            served: Arc::default(),
            _places: [room, own],
        })
    }

    /// Returns when no connection is left.
    pub async fn emptied(&self) {
        let all = u32::try_from(GRPC_CONNECTIONS).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _ = self.0.connections.acquire_many(all).await;
    }
}

impl Seat {
    /// A place for a request, when one is free.
    pub async fn place(&self, is_read: bool) -> Result<Place, AcquireError> {
        let process = &self.process;
        // Its own before everybody's: whoever waits for itself keeps nobody waiting.
        let own = Arc::clone(&self.requests).acquire_owned().await?;
        let one = Arc::clone(&process.requests).acquire_owned().await?;
        let read = match is_read {
            true => Some(Arc::clone(&process.reads).acquire_owned().await?),
            false => None,
        };
        let all = Arc::clone(&process.all.requests).acquire_owned().await?;
        Ok(Place {
            process: Arc::clone(process),
            read,
            begun: OnceLock::new(),
            took: OnceLock::new(),
            is_taken: AtomicBool::new(false),
            served: Arc::clone(&self.served),
            _places: [own, one, all],
        })
    }

    /// The client was answered something that takes no place.
    pub fn serve(&self) {
        self.served.store(true, Ordering::Relaxed);
    }

    /// Whether the client has taken any answer.
    pub fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Whether no request of the connection is being answered.
    pub fn is_idle(&self) -> bool {
        self.requests.available_permits() == GRPC_STREAMS as usize
    }

    /// Returns when that is so.
    pub async fn idle(&self) {
        // The semaphore is never closed.
        let _ = self.requests.acquire_many(GRPC_STREAMS).await;
    }
}

impl Place {
    /// The request is whole, and is being worked on.
    pub fn begin(&self) {
        self.begun.get_or_init(Instant::now);
    }

    /// Its answer is there.
    pub fn answered(&self) {
        if let Some(begun) = self.begun.get() {
            self.took.get_or_init(|| begun.elapsed());
        }
    }

    /// Its answer is with the client.
    pub fn taken(&self) {
        self.is_taken.store(true, Ordering::Relaxed);
        self.served.store(true, Ordering::Relaxed);
    }

    /// How long a place for reading is kept although the request is over.
    fn rest(&self) -> Option<Duration> {
        let begun = self.begun.get()?;
        let took = self.took.get().copied();
        let rest = took.unwrap_or_else(|| begun.elapsed()) * GRPC_UNTAKEN_TIMES;
        (!self.is_taken.load(Ordering::Relaxed)).then(|| rest.min(GRPC_UNTAKEN_BOUND))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (rest, read) = (self.rest(), self.read.take());
        if let (Some(rest), Some(read), Ok(runtime)) = (rest, read, Handle::try_current()) {
            let process = Arc::clone(&self.process);
            runtime.spawn(async move {
                sleep(rest).await;
                drop((read, process));
            });
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut processes = self.all.processes();
        // Another may have come under the same name meanwhile.
        if processes
            .get(&self.owner)
            .is_some_and(|known| known.strong_count() == 0)
        {
            processes.remove(&self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    fn process(pid: i32) -> Owner {
        Owner { pid, uid: 0 }
    }

    #[test]
    fn users_of_unseen_processes_do_not_keep_one_another_out() {
        let places = Places::default();
        let of = |uid| places.seat(Owner { pid: 0, uid });
        let _seats: Vec<Seat> = (0..GRPC_PROCESS_CONNECTIONS)
            .map(|_| of(1).unwrap())
            .collect();
        assert!(of(1).is_none());
        assert!(of(2).is_some());
    }

    #[test]
    fn one_connection_more_than_a_process_may_have_is_refused_and_others_come_in() {
        let places = Places::default();
        let mut seats: Vec<Seat> = (0..GRPC_PROCESS_CONNECTIONS)
            .map(|_| places.seat(process(7)).unwrap())
            .collect();
        assert!(places.seat(process(7)).is_none());
        assert!(places.seat(process(8)).is_some());
        seats.pop();
        assert!(places.seat(process(7)).is_some());
        seats.clear();
        assert!(places.0.processes().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn few_lists_of_a_process_are_worked_on_at_a_time() {
        let places = Places::default();
        let seat = places.seat(process(7)).unwrap();
        let mut reads = Vec::new();
        for _ in 0..GRPC_PROCESS_READS {
            reads.push(seat.place(true).await.unwrap());
        }
        assert!(waits(&seat, true).await);
        assert!(!waits(&seat, false).await);
        assert!(!waits(&places.seat(process(8)).unwrap(), true).await);
        reads.pop();
        assert!(!waits(&seat, true).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_keeps_its_place_for_long() {
        let places = Places::default();
        let seat = places.seat(process(7)).unwrap();
        for (is_taken, seconds) in [(true, 0), (false, 1), (false, 1000)] {
            let mut reads = Vec::new();
            for _ in 0..GRPC_PROCESS_READS {
                let read = seat.place(true).await.unwrap();
                read.begin();
                reads.push(read);
            }
            sleep(Duration::from_secs(seconds)).await;
            for read in &reads {
                read.answered();
                if is_taken {
                    read.taken();
                }
            }
            assert!(seat.has_served());
            // However long the client leaves it lying.
            sleep(Duration::from_secs(7)).await;
            drop(reads);
            let freed = Instant::now();
            seat.place(true).await.unwrap();
            let rest = Duration::from_secs(seconds) * GRPC_UNTAKEN_TIMES;
            let waited = freed.elapsed().as_secs();
            assert_eq!(waited, rest.min(GRPC_UNTAKEN_BOUND).as_secs());
        }
        assert!(!places.seat(process(7)).unwrap().has_served());
        // One that was never whole has cost nothing.
        drop(seat.place(true).await.unwrap());
        assert!(!waits(&seat, true).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_left_answers_lying_does_not_come_back_as_somebody_new() {
        let places = Places::default();
        let seat = places.seat(process(7)).unwrap();
        for _ in 0..GRPC_PROCESS_READS {
            let read = seat.place(true).await.unwrap();
            read.begin();
            sleep(Duration::from_secs(1)).await;
        }
        drop(seat);
        let seat = places.seat(process(7)).unwrap();
        assert!(waits(&seat, true).await);
        drop(seat);
        sleep(GRPC_UNTAKEN_BOUND * 2).await;
        assert!(places.0.processes().is_empty());
    }

    #[test]
    fn one_connection_more_than_all_may_have_is_refused() {
        let places = Places::default();
        let seats: Vec<Seat> = (0..GRPC_CONNECTIONS)
            .map(|number| places.seat(process(number as i32)).unwrap())
            .collect();
        assert!(places.seat(process(-1)).is_none());
        drop(seats);
        assert!(places.seat(process(-1)).is_some());
    }

    async fn waits(seat: &Seat, is_read: bool) -> bool {
        timeout(Duration::from_millis(1), seat.place(is_read))
            .await
            .is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_has_all_its_requests_waits_and_others_do_not() {
        let places = Places::default();
        let seats: Vec<Seat> = (0..GRPC_PROCESS_REQUESTS)
            .map(|_| places.seat(process(7)).unwrap())
            .collect();
        let mut held = Vec::new();
        for seat in &seats {
            held.push(seat.place(false).await.unwrap());
        }
        assert!(waits(&seats[0], false).await);
        assert!(!waits(&places.seat(process(8)).unwrap(), false).await);
        held.pop();
        assert!(!waits(&seats[0], false).await);
        let last = seats.last().unwrap();
        assert!(last.is_idle() && !seats[0].is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_more_than_all_may_have_waits() {
        let places = Places::default();
        let seats: Vec<Seat> = (0..GRPC_REQUESTS)
            .map(|number| places.seat(process(number as i32)).unwrap())
            .collect();
        let mut held = Vec::new();
        for seat in &seats {
            held.push(seat.place(false).await.unwrap());
        }
        let seat = places.seat(process(-1)).unwrap();
        assert!(waits(&seat, false).await);
        held.clear();
        assert!(!waits(&seat, false).await);
    }
}
