//! A program that is on several hooks is unloaded in one step: whatever fails, and whenever the process is killed, it is on
//! all of them or on none.

use crate::crashes::kill;
use crate::host::{Host, now, with_host};
use crate::kernel_support::{ip, is_emulated, skipped, veth};
use crate::switch::Mode;
use ipc::messages::attach::{AttachSpec, Direction, LinkEntry};
use ipc::messages::chain::Dispatcher;
use ipc::messages::failure::FailureCode;
use ipc::messages::program::ProgramKind;
use ipc::plan::LoadPlan;
use loader_worker::engine::Engine;
use loader_worker::faults::{Faults, Point};
use loader_worker::limits::HOOKS_AT_ONCE;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hooks that two programs share.
const SHARED: [(&str, Direction); 3] = [
    ("far", Direction::Ingress),
    ("far", Direction::Egress),
    ("near", Direction::Egress),
];

/// A hook that the program which leaves has for itself.
const ALONE: (&str, Direction) = ("near", Direction::Ingress);

/// Two programs on their hooks.
struct Scene<'a> {
    host: &'a Host,
    plan: LoadPlan,
    stays: u32,
    leaves: u32,
}

impl<'a> Scene<'a> {
    fn new(host: &'a Host, engine: &mut Engine) -> Self {
        veth();
        let plan = host.plan(bpf::COUNTER, &[("tc_count", ProgramKind::Tc)]);
        let mut scene = Self {
            host,
            plan,
            stays: 0,
            leaves: 0,
        };
        scene.stays = scene.load(engine);
        for hook in SHARED {
            scene.attach(engine, scene.stays, hook);
        }
        scene.enter(engine);
        scene
    }

    fn load(&self, engine: &mut Engine) -> u32 {
        self.host.load(engine, &self.plan).unwrap()[0]
            .record
            .program_id
    }

    fn attach(&self, engine: &mut Engine, program: u32, (interface, direction): (&str, Direction)) {
        let spec = AttachSpec::Tc {
            interface: interface.into(),
            direction,
            priority: 50,
            proceed_on: vec![],
            strategy: None,
        };
        self.host.attach(engine, program, spec).unwrap();
    }

    fn enter(&mut self, engine: &mut Engine) {
        self.leaves = self.load(engine);
        for hook in SHARED.into_iter().chain([ALONE]) {
            self.attach(engine, self.leaves, hook);
        }
    }

    fn state(engine: &Engine) -> (Vec<Dispatcher>, Vec<LinkEntry>) {
        (engine.dispatchers().unwrap(), engine.links().unwrap())
    }

    fn has_left(&self, engine: &Engine) -> bool {
        match engine.program(self.leaves) {
            Ok(_) => false,
            Err(failure) => {
                assert_eq!(failure.code, FailureCode::NotFound);
                true
            }
        }
    }

    /// The one that stays is alone on the hooks that were shared.
    fn assert_left(&self, engine: &Engine, point: &str) {
        let (dispatchers, links) = Self::state(engine);
        assert_eq!(dispatchers.len(), SHARED.len(), "{point}");
        assert!(
            dispatchers.iter().all(|found| found.member_count == 1),
            "{point}: {dispatchers:?}"
        );
        assert_eq!(links.len(), SHARED.len(), "{point}");
        for link in links {
            assert_eq!(link.record.program_id, self.stays, "{point}");
        }
    }

    fn end(self, engine: &Engine) {
        now(engine.unload(self.stays)).unwrap();
        self.host.assert_clean(engine);
    }
}

#[test]
fn an_unload_that_fails_at_one_hook_leaves_all_as_they_were() {
    with_host(|host| {
        let mut engine = host.open();
        let mut scene = Scene::new(host, &mut engine);
        let (mut as_before, mut decided) = (Vec::new(), 0);
        for number in 0.. {
            let before = Scene::state(&engine);
            host.switch.set(Mode::Fail(number));
            let outcome = now(engine.unload(scene.leaves));
            let fired = host.switch.fired();
            host.switch.set(Mode::Off);
            let Some(point) = fired else {
                outcome.unwrap();
                scene.assert_left(&engine, "the end");
                break;
            };
            if outcome.is_err() && Scene::state(&engine) == before {
                let findings = now(engine.doctor()).unwrap().findings;
                assert_eq!(findings, Vec::<String>::new(), "{point}");
                as_before.push(point);
                continue;
            }
            // It was decided: at no hook that others are on is it any more.
            decided += 1;
            let left = engine.links().unwrap();
            let left = left
                .iter()
                .filter(|link| link.record.program_id == scene.leaves);
            assert!(left.count() <= 1, "{point}");
            if outcome.is_err()
                && let Err(failure) = now(engine.unload(scene.leaves))
            {
                assert_eq!(failure.code, FailureCode::NotFound, "{point}: {failure}");
            }
            assert!(scene.has_left(&engine), "{point}");
            scene.assert_left(&engine, &point);
            scene.enter(&mut engine);
            let findings = now(engine.doctor()).unwrap().findings;
            assert_eq!(findings, Vec::<String>::new(), "{point}");
        }
        let swaps = as_before
            .iter()
            .filter(|point| point.contains("SwapFilter"));
        assert_eq!(swaps.count(), SHARED.len(), "{as_before:?}");
        assert!(decided > 3, "only {decided} points after the decision");
        scene.end(&engine);
    });
}

/// One hook more than are left in one step, by two attachments on one of them.
#[test]
fn a_program_leaves_more_hooks_than_in_one_step() {
    with_host(|host| {
        if is_emulated() {
            skipped("hundreds of attachments take too long in an emulated machine");
            return;
        }
        let mut engine = host.open();
        let scene = Scene::new(host, &mut engine);
        let pairs = HOOKS_AT_ONCE.div_ceil(4);
        let names: Vec<[String; 2]> = (0..pairs)
            .map(|number| ["a", "b"].map(|end| format!("{end}{number}")))
            .collect();
        let mut hooks = Vec::new();
        for [one, other] in &names {
            ip(&format!("link add {one} type veth peer name {other}"));
            for name in [one, other] {
                hooks.extend([
                    (name.as_str(), Direction::Ingress),
                    (name, Direction::Egress),
                ]);
            }
        }
        hooks.truncate(HOOKS_AT_ONCE + 1 - SHARED.len());
        for hook in &hooks {
            scene.attach(&mut engine, scene.stays, *hook);
            scene.attach(&mut engine, scene.leaves, *hook);
        }
        scene.attach(&mut engine, scene.leaves, hooks[0]);
        let shared = engine.dispatchers().unwrap();
        let shared = shared.iter().filter(|hook| hook.member_count > 1);
        assert_eq!(shared.count(), HOOKS_AT_ONCE + 1);

        drop(engine);
        let begun = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&begun);
        let faults = Faults::new(Box::new(move |point| {
            seen.fetch_add(
                usize::from(matches!(point, Point::Begin)),
                Ordering::Relaxed,
            );
            Ok(())
        }));
        let (engine, drift) = host.open_with(faults).unwrap();
        assert_eq!(drift, []);
        now(engine.unload(scene.leaves)).unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 2, "steps");
        assert!(scene.has_left(&engine));
        let dispatchers = engine.dispatchers().unwrap();
        assert_eq!(dispatchers.len(), HOOKS_AT_ONCE + 1);
        assert!(dispatchers.iter().all(|hook| hook.member_count == 1));
        assert_eq!(now(engine.doctor()).unwrap().findings, Vec::<String>::new());
        scene.end(&engine);
    });
}

#[test]
fn an_unload_that_is_killed_leaves_the_program_on_all_hooks_or_on_none() {
    with_host(|host| {
        let mut engine = host.open();
        let mut scene = Scene::new(host, &mut engine);
        let (mut on_all, mut on_none) = (0, 0);
        for number in 0.. {
            let before = Scene::state(&engine);
            let leaves = scene.leaves;
            let request = |engine: &mut Engine| {
                let _ = now(engine.unload(leaves));
            };
            let Some((point, found)) = kill(host, engine, number, request) else {
                engine = host.open();
                scene.assert_left(&engine, "the end");
                break;
            };
            engine = found;
            if scene.has_left(&engine) {
                on_none += 1;
                scene.assert_left(&engine, &point);
                scene.enter(&mut engine);
            } else {
                on_all += 1;
                assert_eq!(Scene::state(&engine), before, "{point}");
            }
        }
        assert!(on_all > 12 && on_none > 6, "{on_all} and {on_none} points");
        scene.end(&engine);
    });
}
