//! The tree's decisions, without processes.

use super::*;
use crate::limits::{
    DRAIN_DEADLINE, END_DEADLINE, FAILURES_BEFORE_HOLD, FIRST_PAUSE, MINIMUM_RUN,
    RECONCILE_DEADLINE,
};

pub(super) fn trusting(now: Instant) -> Machine {
    Machine::new(now, Box::new(|_, _| Ok(())))
}

fn report(pid: u32) -> SandboxReport {
    SandboxReport {
        pid,
        ..SandboxReport::default()
    }
}

/// Process ids in these tests: one per role and generation.
fn pid(role: Role, generation: u32) -> u32 {
    1000 * (role as u32 + 1) + generation
}

pub(super) fn started(role: Role, generation: u32) -> Event {
    Event::Started {
        role,
        generation,
        pid: pid(role, generation),
    }
}

pub(super) fn ready(role: Role, generation: u32) -> Event {
    Event::Ready {
        role,
        generation,
        report: report(pid(role, generation)),
    }
}

pub(super) fn exited(role: Role, generation: u32) -> Event {
    Event::Exited {
        role,
        generation,
        exit: Exit::Signal(9),
        words: "nothing that counts".to_owned(),
    }
}

fn serving(generation: u32) -> Event {
    Event::Serving {
        role: Role::Loader,
        generation,
    }
}

/// A tree in which everybody serves in generation 1.
fn serving_tree(now: Instant) -> Machine {
    let mut machine = trusting(now);
    machine.on(Event::Begin, now);
    for role in Role::WORKERS {
        machine.on(started(role, 1), now);
        machine.on(ready(role, 1), now);
    }
    machine.on(serving(1), now);
    machine
}

#[test]
fn clients_come_in_only_when_the_loader_has_reconciled_and_find_their_links() {
    let now = Instant::now();
    let mut machine = trusting(now);
    assert_eq!(
        machine.on(Event::Begin, now),
        Role::WORKERS.map(Action::Start)
    );
    for role in Role::WORKERS {
        machine.on(started(role, 1), now);
    }
    assert_eq!(machine.on(ready(Role::Api, 1), now), []);
    assert_eq!(
        machine.on(ready(Role::Image, 1), now),
        [Action::Activate(Role::Image)]
    );
    assert_eq!(
        machine.on(ready(Role::Loader, 1), now),
        [Action::Activate(Role::Loader)]
    );
    assert_eq!(
        machine.on(serving(1), now),
        [
            Action::Connect([(Role::Loader, 1), (Role::Image, 1)]),
            Action::Connect([(Role::Api, 1), (Role::Loader, 1)]),
            Action::Connect([(Role::Api, 1), (Role::Image, 1)]),
            Action::Activate(Role::Api),
            Action::AnnounceReady,
        ]
    );
}

#[test]
fn peers_hear_of_a_death_at_once_and_of_the_successor_when_it_serves() {
    let start = Instant::now();
    let mut machine = serving_tree(start);
    let now = start + MINIMUM_RUN;
    let lost = Event::LinkLost {
        role: Role::Loader,
        generation: 1,
        reason: None,
    };
    assert_eq!(
        machine.on(lost, now),
        [
            Action::Disconnect {
                to: Role::Image,
                peer: Role::Loader,
                generation: 1
            },
            Action::Disconnect {
                to: Role::Api,
                peer: Role::Loader,
                generation: 1
            },
        ]
    );
    assert_eq!(machine.on(exited(Role::Loader, 1), now), []);
    let due = machine.deadline().unwrap();
    assert_eq!(due, now + FIRST_PAUSE);
    assert_eq!(machine.on(Event::Tick, due), [Action::Start(Role::Loader)]);
    assert_eq!(machine.on(started(Role::Loader, 2), due), []);
    assert_eq!(
        machine.on(ready(Role::Loader, 2), due),
        [Action::Activate(Role::Loader)]
    );
    assert_eq!(
        machine.on(serving(2), due),
        [
            Action::Connect([(Role::Loader, 2), (Role::Image, 1)]),
            Action::Connect([(Role::Loader, 2), (Role::Api, 1)])
        ]
    );
    assert_eq!(machine.restarts(Role::Loader), 1);
}

#[test]
fn a_worker_that_closes_its_link_ends_by_itself_and_its_status_is_the_reason() {
    let now = Instant::now();
    let mut machine = trusting(now);
    machine.on(Event::Begin, now);
    machine.on(started(Role::Loader, 1), now);
    machine.on(ready(Role::Loader, 1), now);
    let lost = || Event::LinkLost {
        role: Role::Loader,
        generation: 1,
        reason: None,
    };
    assert_eq!(machine.on(lost(), now), []);
    assert_eq!(machine.on(lost(), now), [], "it is ending already");
    machine.on(
        Event::Exited {
            role: Role::Loader,
            generation: 1,
            exit: Exit::Code(1),
            words: "store: locked".to_owned(),
        },
        now,
    );
    let Some(State::Backoff { reason, .. }) = machine.state(Role::Loader) else {
        panic!("{:?}", machine.state(Role::Loader))
    };
    assert_eq!(reason, "exited with status 1: store: locked");
}

#[test]
fn a_worker_that_closes_its_link_and_stays_is_killed() {
    let now = Instant::now();
    let mut machine = serving_tree(now);
    let lost = Event::LinkLost {
        role: Role::Image,
        generation: 1,
        reason: None,
    };
    let heard = machine.on(lost, now);
    assert_eq!(heard.len(), 2, "two peers hear of it: {heard:?}");
    assert_eq!(machine.deadline(), Some(now + END_DEADLINE));
    assert_eq!(
        machine.on(Event::Tick, now + END_DEADLINE),
        [Action::Kill(Role::Image)],
        "and hear it once"
    );
    machine.on(exited(Role::Image, 1), now);
    let Some(State::Backoff { reason, .. }) = machine.state(Role::Image) else {
        panic!("{:?}", machine.state(Role::Image))
    };
    assert!(reason.contains("did not end"), "{reason}");
}

#[test]
fn a_restarted_api_worker_waits_for_the_loader_and_clients_wait_in_the_backlog() {
    let start = Instant::now();
    let mut machine = serving_tree(start);
    let now = start + MINIMUM_RUN;
    machine.on(exited(Role::Api, 1), now);
    machine.on(exited(Role::Loader, 1), now);
    machine.on(Event::Tick, now + FIRST_PAUSE);
    machine.on(started(Role::Api, 2), now);
    assert_eq!(machine.on(ready(Role::Api, 2), now), []);
    machine.on(started(Role::Loader, 2), now);
    machine.on(ready(Role::Loader, 2), now);
    assert!(
        machine
            .on(serving(2), now)
            .contains(&Action::Activate(Role::Api))
    );
}

#[test]
fn a_loader_that_is_given_up_lets_clients_in_to_hear_so() {
    let mut now = Instant::now();
    let mut machine = trusting(now);
    machine.on(Event::Begin, now);
    for role in [Role::Image, Role::Api] {
        machine.on(started(role, 1), now);
        machine.on(ready(role, 1), now);
    }
    let mut activated = false;
    for generation in 1..=FAILURES_BEFORE_HOLD + 1 {
        assert!(!activated);
        machine.on(started(Role::Loader, generation), now);
        let actions = machine.on(exited(Role::Loader, generation), now);
        activated = actions.contains(&Action::Activate(Role::Api));
        assert!(!actions.contains(&Action::AnnounceReady));
        now = machine.deadline().unwrap_or(now);
        machine.on(Event::Tick, now);
    }
    assert!(activated);
    let Some(State::Held { reason }) = machine.state(Role::Loader) else {
        panic!("{:?}", machine.state(Role::Loader))
    };
    assert_eq!(reason, "killed by signal 9");
    assert_eq!(machine.deadline(), None);
}

#[test]
fn a_worker_whose_report_is_refused_is_killed_and_never_started_again() {
    let now = Instant::now();
    let mut machine = Machine::new(
        now,
        Box::new(|role, _| {
            if role == Role::Image {
                Err("has CAP_BPF".to_owned())
            } else {
                Ok(())
            }
        }),
    );
    machine.on(Event::Begin, now);
    machine.on(started(Role::Image, 1), now);
    assert_eq!(
        machine.on(ready(Role::Image, 1), now),
        [Action::Kill(Role::Image)]
    );
    machine.on(exited(Role::Image, 1), now);
    let Some(State::Held { reason }) = machine.state(Role::Image) else {
        panic!("{:?}", machine.state(Role::Image))
    };
    assert!(reason.contains("has CAP_BPF"), "{reason}");
}

#[test]
fn a_report_for_another_process_is_refused() {
    let now = Instant::now();
    let mut machine = trusting(now);
    machine.on(Event::Begin, now);
    machine.on(started(Role::Image, 1), now);
    let forged = Event::Ready {
        role: Role::Image,
        generation: 1,
        report: report(1),
    };
    assert_eq!(machine.on(forged, now), [Action::Kill(Role::Image)]);
}

#[test]
fn a_worker_that_serves_before_it_was_told_to_is_killed() {
    let now = Instant::now();
    let mut machine = trusting(now);
    machine.on(Event::Begin, now);
    machine.on(started(Role::Loader, 1), now);
    assert_eq!(machine.on(serving(1), now), [Action::Kill(Role::Loader)]);
}

#[test]
fn a_fault_ends_the_named_incarnation_and_no_other() {
    let now = Instant::now();
    let mut machine = serving_tree(now);
    let fault = |generation| Event::PeerFault {
        reporter: Role::Loader,
        peer: Role::Api,
        generation,
        fault: "rubbish".to_owned(),
    };
    assert_eq!(machine.on(fault(7), now), []);
    let actions = machine.on(fault(1), now);
    assert_eq!(actions[0], Action::Kill(Role::Api));
    assert_eq!(machine.on(fault(1), now), [], "it is ending already");
    assert!(matches!(
        machine
            .state(Role::Loader)
            .unwrap()
            .running()
            .unwrap()
            .phase,
        Phase::Serving
    ));
}

#[test]
fn the_stop_goes_from_who_asks_to_who_is_asked() {
    let now = Instant::now();
    let mut machine = serving_tree(now);
    assert_eq!(
        machine.on(Event::Stop, now),
        [Action::AnnounceStopping, Action::Drain(Role::Api)]
    );
    assert_eq!(machine.on(Event::Stop, now), []);
    let closed = Event::LinkLost {
        role: Role::Api,
        generation: 1,
        reason: None,
    };
    assert_eq!(
        machine.on(closed, now),
        [],
        "a worker that stops closes its link"
    );
    assert_eq!(
        machine.on(exited(Role::Api, 1), now),
        [
            Action::Disconnect {
                to: Role::Loader,
                peer: Role::Api,
                generation: 1
            },
            Action::Disconnect {
                to: Role::Image,
                peer: Role::Api,
                generation: 1
            },
            Action::Drain(Role::Image),
        ]
    );
    assert_eq!(
        machine.on(exited(Role::Image, 1), now),
        [
            Action::Disconnect {
                to: Role::Loader,
                peer: Role::Image,
                generation: 1
            },
            Action::Drain(Role::Loader)
        ]
    );
    assert_eq!(machine.on(exited(Role::Loader, 1), now), [Action::Finish]);
}

#[test]
fn a_worker_that_does_not_stop_is_killed() {
    let now = Instant::now();
    let mut machine = serving_tree(now);
    machine.on(Event::Stop, now);
    assert!(
        machine
            .on(Event::Tick, now + DRAIN_DEADLINE)
            .contains(&Action::Kill(Role::Api))
    );
    assert!(
        machine
            .on(exited(Role::Api, 1), now)
            .contains(&Action::Drain(Role::Image))
    );
}

#[test]
fn a_stop_while_workers_start_ends_too() {
    let now = Instant::now();
    let mut machine = trusting(now);
    machine.on(Event::Begin, now);
    machine.on(started(Role::Loader, 1), now);
    machine.on(Event::Stop, now);
    machine.on(
        Event::StartFailed {
            role: Role::Api,
            reason: "no memory".to_owned(),
        },
        now,
    );
    assert_eq!(
        machine.on(started(Role::Image, 1), now),
        [Action::Kill(Role::Image)]
    );
    assert_eq!(
        machine.on(exited(Role::Image, 1), now),
        [Action::Kill(Role::Loader)]
    );
    assert_eq!(machine.on(exited(Role::Loader, 1), now), [Action::Finish]);
}

#[test]
fn who_is_late_is_killed_and_a_silent_spawner_is_the_end() {
    let now = Instant::now();
    let mut machine = trusting(now);
    machine.on(Event::Begin, now);
    machine.on(started(Role::Loader, 1), now);
    let actions = machine.on(Event::Tick, now + START_DEADLINE);
    assert!(actions.contains(&Action::Kill(Role::Loader)));
    assert!(
        actions.contains(&Action::Abandon),
        "image and API worker were never answered for"
    );
}

#[test]
fn a_loader_that_reconciles_longer_than_its_deadline_is_killed() {
    let now = Instant::now();
    let mut machine = trusting(now);
    machine.on(Event::Begin, now);
    for role in Role::WORKERS {
        machine.on(started(role, 1), now);
        machine.on(ready(role, 1), now);
    }
    let kill = Action::Kill(Role::Loader);
    let just_before = now + RECONCILE_DEADLINE - Duration::from_millis(1);
    assert!(!machine.on(Event::Tick, just_before).contains(&kill));
    assert!(
        machine
            .on(Event::Tick, now + RECONCILE_DEADLINE)
            .contains(&kill)
    );
}
