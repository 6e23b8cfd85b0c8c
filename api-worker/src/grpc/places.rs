//! How many connections and requests there may be: of one process, and of all.
//!
//! Who floods the interface waits for itself. A process is told from others by the ids that the kernel gives for its socket.
//! Processes of a namespace that cannot be seen into have no pid of their own here: all of one user count as one.

use crate::limits::{GRPC_PROCESS_CONNECTIONS, GRPC_PROCESS_REQUESTS, GRPC_STREAMS};
use ipc::limits::{GRPC_CONNECTIONS, GRPC_REQUESTS};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

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
    processes: Mutex<HashMap<Owner, Process>>,
}

/// Those of one process.
#[derive(Clone, Debug)]
struct Process {
    connections: Arc<Semaphore>,
    requests: Arc<Semaphore>,
}

/// The place of a connection, and those of its requests.
#[derive(Debug)]
pub struct Seat {
    owner: Owner,
    all: Arc<All>,
    process: Process,
    requests: Arc<Semaphore>,
    _places: [OwnedSemaphorePermit; 2],
}

/// The place of a request, until it is done and its answer taken.
#[derive(Debug)]
pub struct Place {
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
    fn processes(&self) -> MutexGuard<'_, HashMap<Owner, Process>> {
        // Nothing panics while the lock is held; a poisoned map would still be whole.
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// A place for a connection of this process, if there is one.
    pub fn seat(&self, owner: Owner) -> Option<Seat> {
        let room = Arc::clone(&self.0.connections).try_acquire_owned().ok()?;
        let mut processes = self.0.processes();
        let process = processes.entry(owner).or_insert_with(|| Process {
            connections: Arc::new(Semaphore::new(GRPC_PROCESS_CONNECTIONS)),
            requests: Arc::new(Semaphore::new(GRPC_PROCESS_REQUESTS)),
        });
        let own = Arc::clone(&process.connections).try_acquire_owned().ok()?;
        Some(Seat {
            owner,
            all: Arc::clone(&self.0),
            process: process.clone(),
            requests: Arc::new(Semaphore::new(GRPC_STREAMS as usize)),
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
    pub async fn place(&self) -> Result<Place, AcquireError> {
        // Its own before everybody's: whoever waits for itself keeps nobody waiting.
        let own = Arc::clone(&self.requests).acquire_owned().await?;
        let process = Arc::clone(&self.process.requests).acquire_owned().await?;
        let all = Arc::clone(&self.all.requests).acquire_owned().await?;
        Ok(Place {
            _places: [own, process, all],
        })
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

impl Drop for Seat {
    fn drop(&mut self) {
        // The own place is given back after this.
        let is_last = self.process.connections.available_permits() + 1 == GRPC_PROCESS_CONNECTIONS;
        if is_last {
            self.all.processes().remove(&self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Duration, timeout};

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

    async fn waits(seat: &Seat) -> bool {
        timeout(Duration::from_millis(1), seat.place())
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
            held.push(seat.place().await.unwrap());
        }
        assert!(waits(&seats[0]).await);
        assert!(!waits(&places.seat(process(8)).unwrap()).await);
        held.pop();
        assert!(!waits(&seats[0]).await);
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
            held.push(seat.place().await.unwrap());
        }
        let seat = places.seat(process(-1)).unwrap();
        assert!(waits(&seat).await);
        held.clear();
        assert!(!waits(&seat).await);
    }
}
