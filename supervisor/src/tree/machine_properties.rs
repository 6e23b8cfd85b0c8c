//! The tree's decisions under random events, checked against a model of the world that the actions make.

use super::super::stop::STOP_ORDER;
use super::tests::{exited, ready, started, trusting};
use super::*;
use crate::limits::DRAIN_DEADLINE;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What the world does to the tree, in random order.
#[derive(Clone, Debug)]
enum Step {
    Reply(Role),
    Ready(Role),
    Serving(Role),
    Lose(Role),
    Fault(Role),
    Die(Role),
    Wait(u64),
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let role = prop::sample::select(Role::WORKERS.to_vec());
    prop_oneof![
        4 => role.clone().prop_map(Step::Reply),
        4 => role.clone().prop_map(Step::Ready),
        3 => role.clone().prop_map(Step::Serving),
        1 => role.clone().prop_map(Step::Lose),
        1 => role.clone().prop_map(Step::Fault),
        2 => role.prop_map(Step::Die),
        3 => (0u64..500).prop_map(Step::Wait),
        1 => Just(Step::Stop),
    ]
}

/// The world as the actions make it, to check them against.
#[derive(Default)]
struct World {
    /// Starts that are asked for and not answered.
    asked: BTreeSet<Role>,
    alive: BTreeMap<Role, u32>,
    generations: BTreeMap<Role, u32>,
    activated: BTreeSet<(Role, u32)>,
    links: BTreeSet<((Role, u32), (Role, u32))>,
    drained: Vec<Role>,
    finished: bool,
}

impl World {
    fn obey(&mut self, actions: &[Action]) -> Result<(), TestCaseError> {
        for action in actions {
            prop_assert!(!self.finished, "nothing follows the end: {action:?}");
            match *action {
                Action::Start(role) => {
                    prop_assert!(!self.alive.contains_key(&role), "{role} runs already");
                    prop_assert!(self.asked.insert(role), "{role} is asked for already");
                }
                Action::Kill(role) => {
                    prop_assert!(self.alive.contains_key(&role), "{role} does not run")
                }
                Action::Activate(role) => {
                    let generation = self.alive[&role];
                    prop_assert!(
                        self.activated.insert((role, generation)),
                        "{role} is activated twice"
                    );
                }
                Action::Connect([one, other]) => {
                    prop_assert_eq!(self.alive.get(&one.0), Some(&one.1));
                    prop_assert_eq!(self.alive.get(&other.0), Some(&other.1));
                    let pair = if one < other {
                        (one, other)
                    } else {
                        (other, one)
                    };
                    prop_assert!(self.links.insert(pair), "{pair:?} is linked twice");
                }
                Action::Disconnect {
                    to,
                    peer,
                    generation,
                } => {
                    let (one, other) = ((to, self.alive[&to]), (peer, generation));
                    let pair = if one < other {
                        (one, other)
                    } else {
                        (other, one)
                    };
                    prop_assert!(self.links.remove(&pair), "{pair:?} was not linked");
                }
                Action::Drain(role) => {
                    prop_assert!(self.alive.contains_key(&role));
                    self.drained.push(role);
                }
                Action::Finish => {
                    prop_assert!(
                        self.alive.is_empty() && self.asked.is_empty(),
                        "somebody is left"
                    );
                    self.finished = true;
                }
                Action::AnnounceReady => {
                    prop_assert!(self.activated.iter().any(|(role, _)| *role == Role::Api));
                }
                Action::AnnounceStopping | Action::Abandon => {}
            }
        }
        // No dead process is linked with a living one.
        for (one, other) in &self.links {
            for end in [one, other] {
                prop_assert!(
                    self.alive.get(&end.0) == Some(&end.1),
                    "{end:?} is dead and linked"
                );
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_happens_links_processes_and_order_are_right(steps in prop::collection::vec(step(), 0..300)) {
        let mut now = Instant::now();
        let mut machine = trusting(now);
        let mut world = World::default();
        world.obey(&machine.on(Event::Begin, now))?;
        for step in steps {
            let of = |role: Role| world.alive.get(&role).copied();
            let event = match step {
                Step::Reply(role) => {
                    if !world.asked.remove(&role) { continue }
                    let generation = world.generations.entry(role).or_default();
                    *generation += 1;
                    world.alive.insert(role, *generation);
                    started(role, *generation)
                }
                Step::Ready(role) => match of(role) { Some(generation) => ready(role, generation), None => continue },
                Step::Serving(role) => match of(role) { Some(generation) => Event::Serving { role, generation }, None => continue },
                Step::Lose(role) => match of(role) {
                    Some(generation) => Event::LinkLost { role, generation, reason: None },
                    None => continue,
                },
                Step::Fault(peer) => match of(peer) {
                    Some(generation) => Event::PeerFault { reporter: Role::Api, peer, generation, fault: String::new() },
                    None => continue,
                },
                Step::Die(role) => match of(role) {
                    Some(generation) => {
                        let event = exited(role, generation);
                        let actions = machine.on(event, now);
                        // The world hears of the death with the actions that it causes.
                        let dead = (role, generation);
                        world.alive.remove(&role);
                        world.obey(&actions)?;
                        prop_assert!(world.links.iter().all(|(one, other)| *one != dead && *other != dead));
                        continue;
                    }
                    None => continue,
                },
                Step::Wait(milliseconds) => {
                    now += Duration::from_millis(milliseconds);
                    Event::Tick
                }
                Step::Stop => Event::Stop,
            };
            world.obey(&machine.on(event, now))?;
        }
        // However it stands, it can be stopped, in order.
        world.obey(&machine.on(Event::Stop, now))?;
        for _ in 0..20 {
            for role in Role::WORKERS {
                if world.asked.remove(&role) {
                    let generation = world.generations.entry(role).or_default();
                    *generation += 1;
                    let generation = *generation;
                    world.alive.insert(role, generation);
                    world.obey(&machine.on(started(role, generation), now))?;
                }
            }
            now += DRAIN_DEADLINE;
            world.obey(&machine.on(Event::Tick, now))?;
            if let Some((role, generation)) = world.alive.pop_first() {
                let actions = machine.on(exited(role, generation), now);
                world.obey(&actions)?;
            }
        }
        prop_assert!(world.finished);
        let place = |role: &Role| STOP_ORDER.iter().position(|other| other == role);
        prop_assert!(world.drained.is_sorted_by_key(place), "{:?}", world.drained);
    }
}
