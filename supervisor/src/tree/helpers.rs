//! The queue in front of the one-shot helpers: one process of each kind at a time, a bounded number of requests waiting.
//! Pure, like [`super::machine`].

use crate::limits::HELPER_QUEUE;
use crate::spawner::table::Entry;
use ipc::limits::HELPER_DEADLINE;
use ipc::messages::helper::HelperKind;
use std::collections::VecDeque;
use std::time::Instant;

/// A request of the loader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request {
    /// Echoed in the answer.
    pub request_id: u64,
    /// The loader's incarnation: a later one does not want the answer.
    pub generation: u32,
}

/// Something is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HelperAction {
    /// Have the spawner start a helper.
    Start(Entry),
    /// Tell the loader that there will be none.
    Refuse(Request, String),
    /// Have the spawner kill the helper.
    Kill(Entry),
}

/// One kind of helper.
#[derive(Debug)]
struct Desk {
    entry: Entry,
    waiting: VecDeque<Request>,
    serving: Serving,
}

#[derive(Debug)]
enum Serving {
    Nobody,
    /// The spawner was asked for a process.
    Starting {
        request: Request,
    },
    /// The helper works; it is killed at the deadline.
    Running {
        generation: u32,
        deadline: Option<Instant>,
    },
}

/// All kinds.
#[derive(Debug)]
pub struct Helpers {
    desks: [Desk; 8],
}

impl Default for Helpers {
    fn default() -> Self {
        let desk = |kind| Desk {
            entry: Entry::of_helper(kind),
            waiting: VecDeque::new(),
            serving: Serving::Nobody,
        };
        Self {
            desks: [
                desk(HelperKind::PerfEvent),
                desk(HelperKind::ChangeGroup),
                desk(HelperKind::NetworkNamespace),
                desk(HelperKind::OpenPath),
                desk(HelperKind::DescribeXdp),
                desk(HelperKind::OpenInContainer),
                desk(HelperKind::MountVolume),
                desk(HelperKind::Libxdp),
            ],
        }
    }
}

impl Helpers {
    fn desk(&mut self, entry: Entry) -> Option<&mut Desk> {
        self.desks.iter_mut().find(|desk| desk.entry == entry)
    }

    /// The loader asks for a helper.
    pub fn asked(&mut self, kind: HelperKind, request: Request) -> Vec<HelperAction> {
        let Some(desk) = self.desk(Entry::of_helper(kind)) else {
            return Vec::new();
        };
        if desk.waiting.len() == HELPER_QUEUE {
            let reason = format!(
                "{HELPER_QUEUE} requests for a {} wait already",
                desk.entry.name()
            );
            return vec![HelperAction::Refuse(request, reason)];
        }
        desk.waiting.push_back(request);
        desk.next()
    }

    /// The spawner has started a helper; its socket is for whoever is returned.
    pub fn started(&mut self, entry: Entry, generation: u32, now: Instant) -> Option<Request> {
        let desk = self.desk(entry)?;
        let Serving::Starting { request } = desk.serving else {
            return None;
        };
        desk.serving = Serving::Running {
            generation,
            deadline: Some(now + HELPER_DEADLINE),
        };
        Some(request)
    }

    /// The spawner could not start one.
    pub fn failed(&mut self, entry: Entry, reason: String) -> Vec<HelperAction> {
        let Some(desk) = self.desk(entry) else {
            return Vec::new();
        };
        let Serving::Starting { request } = desk.serving else {
            return Vec::new();
        };
        desk.serving = Serving::Nobody;
        let mut actions = vec![HelperAction::Refuse(request, reason)];
        actions.extend(desk.next());
        actions
    }

    /// A helper's process ended.
    pub fn exited(&mut self, entry: Entry, generation: u32) -> Vec<HelperAction> {
        let Some(desk) = self.desk(entry) else {
            return Vec::new();
        };
        match desk.serving {
            Serving::Running {
                generation: running,
                ..
            } if running == generation => {
                desk.serving = Serving::Nobody;
                desk.next()
            }
            _ => Vec::new(),
        }
    }

    /// This incarnation of the loader is gone: what it waited for is not started any more. A helper at work loses its
    /// socket and ends.
    pub fn loader_gone(&mut self, generation: u32) {
        for desk in &mut self.desks {
            desk.waiting
                .retain(|request| request.generation != generation);
        }
    }

    /// Kills whoever is over time.
    pub fn tick(&mut self, now: Instant) -> Vec<HelperAction> {
        let mut actions = Vec::new();
        for desk in &mut self.desks {
            if let Serving::Running { deadline, .. } = &mut desk.serving
                && deadline.is_some_and(|deadline| deadline <= now)
            {
                *deadline = None;
                actions.push(HelperAction::Kill(desk.entry));
            }
        }
        actions
    }

    /// When [`Helpers::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.desks
            .iter()
            .filter_map(|desk| match desk.serving {
                Serving::Running { deadline, .. } => deadline,
                _ => None,
            })
            .min()
    }
}

impl Desk {
    fn next(&mut self) -> Vec<HelperAction> {
        if !matches!(self.serving, Serving::Nobody) {
            return Vec::new();
        }
        let Some(request) = self.waiting.pop_front() else {
            return Vec::new();
        };
        self.serving = Serving::Starting { request };
        vec![HelperAction::Start(self.entry)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(request_id: u64) -> Request {
        Request {
            request_id,
            generation: 1,
        }
    }

    #[test]
    fn requests_of_one_kind_are_served_one_after_the_other() {
        let now = Instant::now();
        let mut helpers = Helpers::default();
        assert_eq!(
            helpers.asked(HelperKind::PerfEvent, request(1)),
            [HelperAction::Start(Entry::HelperPerf)]
        );
        assert_eq!(helpers.asked(HelperKind::PerfEvent, request(2)), []);
        assert_eq!(
            helpers.asked(HelperKind::ChangeGroup, request(3)),
            [HelperAction::Start(Entry::HelperGroup)]
        );
        assert_eq!(helpers.started(Entry::HelperPerf, 1, now), Some(request(1)));
        assert_eq!(
            helpers.exited(Entry::HelperPerf, 1),
            [HelperAction::Start(Entry::HelperPerf)]
        );
        assert_eq!(helpers.started(Entry::HelperPerf, 2, now), Some(request(2)));
        assert_eq!(helpers.exited(Entry::HelperPerf, 1), [], "an older process");
        assert_eq!(helpers.exited(Entry::HelperPerf, 2), []);
    }

    #[test]
    fn one_request_past_the_queue_is_refused() {
        let mut helpers = Helpers::default();
        for id in 0..=HELPER_QUEUE as u64 {
            let refused = helpers
                .asked(HelperKind::PerfEvent, request(id))
                .iter()
                .any(|action| matches!(action, HelperAction::Refuse(..)));
            assert!(!refused, "one is being started, {HELPER_QUEUE} wait");
        }
        let actions = helpers.asked(HelperKind::PerfEvent, request(99));
        assert!(
            matches!(&actions[..], [HelperAction::Refuse(refused, _)] if *refused == request(99))
        );
    }

    #[test]
    fn a_helper_over_time_is_killed_once() {
        let now = Instant::now();
        let mut helpers = Helpers::default();
        helpers.asked(HelperKind::PerfEvent, request(1));
        helpers.started(Entry::HelperPerf, 1, now);
        assert_eq!(helpers.tick(now), []);
        let late = helpers.deadline().unwrap();
        assert_eq!(helpers.tick(late), [HelperAction::Kill(Entry::HelperPerf)]);
        assert_eq!(helpers.tick(late), []);
        assert_eq!(helpers.deadline(), None);
    }

    #[test]
    fn a_start_that_fails_is_told_and_the_next_one_tried() {
        let mut helpers = Helpers::default();
        helpers.asked(HelperKind::ChangeGroup, request(1));
        helpers.asked(HelperKind::ChangeGroup, request(2));
        let actions = helpers.failed(Entry::HelperGroup, "no memory".to_owned());
        assert_eq!(
            actions,
            [
                HelperAction::Refuse(request(1), "no memory".to_owned()),
                HelperAction::Start(Entry::HelperGroup)
            ]
        );
    }

    #[test]
    fn what_a_dead_loader_waited_for_is_not_started() {
        let now = Instant::now();
        let mut helpers = Helpers::default();
        helpers.asked(HelperKind::PerfEvent, request(1));
        helpers.asked(HelperKind::PerfEvent, request(2));
        helpers.started(Entry::HelperPerf, 1, now);
        helpers.loader_gone(1);
        assert_eq!(helpers.exited(Entry::HelperPerf, 1), []);
    }
}
