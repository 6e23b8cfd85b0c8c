//! Random sequences of requests against a model: after each, the engine, the kernel and a packet agree with it, whether
//! the request was carried out, failed at any of its acts, or was killed there.
//!
//! A failing sequence is shrunk and printed with its seed; `BPFMAN_SEED` repeats it, `BPFMAN_SEQUENCES` asks for more.

mod model;
mod world;

use crate::host::with_host;
use crate::kernel_support::{is_emulated, setting, skipped};
use ipc::messages::chain::Strategy;
use loader_worker::kernel::probe;
use model::{Attachment, Hook, Model, Program, Request};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::Strategy as Generator;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::hash::{BuildHasher, RandomState};
use world::{Trouble, World};

/// Sequences of one run: fifteen seconds, or half a minute under emulation.
const SEQUENCES: u32 = 50;
const SEQUENCES_UNDER_EMULATION: u32 = 15;

/// Requests of one sequence.
const REQUESTS: usize = 24;

/// Acts of the longest request, about.
const POINTS: usize = 22;

/// A request before it is known what there is.
#[derive(Clone, Debug)]
enum Draft {
    Load {
        hook: Hook,
        name: &'static str,
        is_last: bool,
    },
    Attach {
        program: Index,
        priority: i32,
        /// Whether the chain goes on after the verdict that lets it go on by default, and after the other.
        goes_on: [bool; 2],
        strategy: Option<Strategy>,
    },
    Detach(Index),
    Unload(Index),
    Convert(Hook, Option<Strategy>),
}

impl Draft {
    /// The request, if there is what it needs.
    fn request(&self, model: &Model, tag: u32) -> Option<Request> {
        let program = |index: &Index| {
            let ids: Vec<u32> = model.programs.keys().copied().collect();
            (!ids.is_empty()).then(|| *index.get(&ids))
        };
        match self {
            Draft::Load {
                hook,
                name,
                is_last,
            } => Some(Request::Load(Program {
                hook: *hook,
                name: (*name).to_owned(),
                tag,
                verdict: hook.verdicts()[usize::from(*is_last)],
            })),
            Draft::Attach {
                program: index,
                priority,
                goes_on,
                strategy,
            } => {
                let id = program(index)?;
                let hook = model.programs[&id].hook;
                let verdicts = hook.verdicts().into_iter().zip(goes_on);
                let proceed_on = verdicts.filter_map(|(verdict, goes)| goes.then_some(verdict));
                let link = Attachment {
                    program: id,
                    priority: *priority,
                    // On tcx the program alone decides.
                    proceed_on: if hook == Hook::Tcx {
                        vec![-1]
                    } else {
                        proceed_on.collect()
                    },
                };
                let strategy = strategy.filter(|_| hook != Hook::Tcx);
                Some(Request::Attach(link, strategy))
            }
            Draft::Detach(index) => {
                let ids: Vec<u64> = model.links.keys().copied().collect();
                (!ids.is_empty()).then(|| Request::Detach(*index.get(&ids)))
            }
            Draft::Unload(index) => program(index).map(Request::Unload),
            Draft::Convert(hook, strategy) => Some(Request::Convert(*hook, *strategy)),
        }
    }
}

fn hook() -> impl Generator<Value = Hook> {
    let hooks = if probe::tcx().is_ok() {
        vec![Hook::Xdp, Hook::Tcx, Hook::Tc]
    } else {
        vec![Hook::Xdp, Hook::Tc]
    };
    proptest::sample::select(hooks)
}

fn strategy(none: u32) -> impl Generator<Value = Option<Strategy>> {
    prop_oneof![
        none => Just(None),
        1 => Just(Some(Strategy::Fused)),
        1 => Just(Some(Strategy::Libxdp)),
        1 => Just(Some(Strategy::Direct)),
    ]
}

fn draft() -> impl Generator<Value = Draft> {
    let load = (
        hook(),
        proptest::sample::select(vec!["a", "b"]),
        prop::bool::weighted(0.2),
    );
    let goes_on = prop_oneof![
        4 => Just([true, false]),
        1 => Just([false, true]),
        1 => Just([true, true]),
    ];
    let attach = (any::<Index>(), 0..3, goes_on, strategy(12));
    let chain = proptest::sample::select(vec![Hook::Xdp, Hook::Tc]);
    prop_oneof![
        4 => load.prop_map(|(hook, name, is_last)| Draft::Load { hook, name, is_last }),
        8 => attach.prop_map(|(program, priority, goes_on, strategy)| Draft::Attach {
            program,
            priority,
            goes_on,
            strategy,
        }),
        3 => any::<Index>().prop_map(Draft::Detach),
        1 => any::<Index>().prop_map(Draft::Unload),
        2 => (chain, strategy(2)).prop_map(|(hook, strategy)| Draft::Convert(hook, strategy)),
    ]
}

fn trouble() -> impl Generator<Value = Trouble> {
    prop_oneof![
        3 => Just(Trouble::None),
        1 => (0..POINTS).prop_map(Trouble::Fail),
        2 => (0..POINTS).prop_map(Trouble::Crash),
    ]
}

#[test]
fn any_sequence_of_requests_leads_where_the_model_says() {
    if !rustix::process::geteuid().is_root() {
        return skipped("loading eBPF needs root");
    }
    let seed = setting("BPFMAN_SEED").unwrap_or_else(|| RandomState::new().hash_one(()));
    let sequences = if is_emulated() {
        SEQUENCES_UNDER_EMULATION
    } else {
        SEQUENCES
    };
    let config = Config {
        cases: setting("BPFMAN_SEQUENCES").unwrap_or(sequences),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let source = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let sequence = prop::collection::vec((draft(), trouble()), 1..=REQUESTS);
    let outcome = TestRunner::new_with_rng(config, source).run(&sequence, |sequence| {
        with_host(move |host| {
            let mut world = World::new(host);
            for ((draft, trouble), tag) in sequence.iter().zip(1..) {
                if let Some(request) = draft.request(world.model(), tag) {
                    world.carry_out(&request, *trouble);
                }
            }
            world.end();
        });
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, sequence)) => {
            let steps: Vec<String> = sequence.iter().map(|step| format!("{step:?}")).collect();
            panic!("BPFMAN_SEED={seed}: {reason}\n{}", steps.join("\n"))
        }
        Err(error) => panic!("BPFMAN_SEED={seed}: {error}"),
    }
}

/// With ties of every sort, in the kernel and not only in the records.
#[test]
fn any_order_of_the_same_attachments_gives_the_same_chain() {
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]];
    with_host(move |host| {
        let mut world = World::new(host);
        for hook in [Hook::Xdp, Hook::Tc] {
            let programs = ["b", "a", "a"].map(|name| {
                let program = Program {
                    hook,
                    name: name.to_owned(),
                    tag: world.model().programs.len() as u32 + 1,
                    verdict: hook.verdicts()[0],
                };
                world.carry_out(&Request::Load(program), Trouble::None);
                *world.model().programs.keys().next_back().unwrap()
            });
            let [goes_on, ends] = hook.verdicts();
            let wanted = [
                (programs[0], 1, vec![goes_on]),
                (programs[1], 1, vec![goes_on]),
                (programs[2], 1, vec![goes_on, ends]),
                (programs[0], 0, vec![goes_on]),
            ];
            let mut trails = Vec::new();
            for order in orders {
                for member in order {
                    let (program, priority, proceed_on) = wanted[member].clone();
                    let link = Attachment {
                        program,
                        priority,
                        proceed_on,
                    };
                    world.carry_out(&Request::Attach(link, None), Trouble::None);
                }
                trails.push(world.model().trail());
                let links: Vec<u64> = world.model().links.keys().copied().collect();
                for link in links {
                    world.carry_out(&Request::Detach(link), Trouble::None);
                }
            }
            assert_eq!(trails[0].len(), wanted.len());
            assert!(trails.iter().all(|trail| *trail == trails[0]), "{trails:?}");
        }
        world.end();
    });
}
