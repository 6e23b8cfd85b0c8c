//! Chains of XDP and TC programs under real packets, in every way in which this kernel can call them.

mod limits;

use crate::crashes::kill;
use crate::host::{Host, now, with_host};
use crate::kernel_support::{compiled, load, load_plan, send, skipped, veth};
use ipc::messages::attach::{AttachSpec, Direction, Link, XdpMode};
use ipc::messages::chain::{Dispatcher, HookKind, Strategy};
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::program::{GlobalValue, ProgramKind};
use ipc::plan::LoadPlan;
use loader_worker::chains::{dispatcher, support};
use loader_worker::engine::Engine;
use loader_worker::kernel::{interfaces, link, map, pin};
use std::os::fd::AsFd;
use std::time::Duration;

/// A loaded member, in the chain or not.
#[derive(Clone, Debug)]
struct Member {
    program: u32,
}

/// The members of one test, which leave their tags in one trail.
struct Scene<'a> {
    host: &'a Host,
    engine: Option<Engine>,
    kind: ProgramKind,
    name: &'static str,
    owner: Option<u32>,
}

impl<'a> Scene<'a> {
    fn new(host: &'a Host, name: &'static str, kind: ProgramKind) -> Self {
        Self {
            host,
            engine: Some(host.open()),
            kind,
            name,
            owner: None,
        }
    }

    fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().unwrap()
    }

    /// Kills the process at this point of a request, and recovers; the point, or `None` if the request was finished before.
    fn killed(&mut self, number: usize, request: impl FnOnce(&mut Engine)) -> Option<String> {
        let engine = self.engine.take().unwrap();
        let killed = kill(self.host, engine, number, request);
        let (point, engine) = killed.map_or_else(
            || (None, self.host.open()),
            |(point, engine)| (Some(point), engine),
        );
        self.engine = Some(engine);
        point
    }

    fn load(&mut self, tag: u32, verdict: i32) -> Member {
        let globals = [
            ("tag", tag.to_ne_bytes()),
            ("verdict", verdict.to_ne_bytes()),
        ];
        let globals = globals.map(|(name, bytes)| GlobalValue {
            name: name.into(),
            bytes: bytes.to_vec(),
        });
        let plan = compiled(bpf::CHAIN, &[(self.name, self.kind)], &globals);
        let plan = self.host.marked(plan);
        let owner = self.owner;
        let loaded = self
            .host
            .load_with(self.engine.as_mut().unwrap(), &plan, |options| {
                options.map_owner = owner
            })
            .unwrap();
        let program = loaded[0].record.program_id;
        self.owner = Some(owner.unwrap_or(program));
        Member { program }
    }

    /// A program that knows nothing of tags and trails.
    fn load_plain(&mut self) -> Member {
        let plan = compiled(bpf::CHAIN, &[(self.name, self.kind)], &[]);
        let plan = self.host.marked(plan);
        let owner = self.owner;
        let loaded = self
            .host
            .load_with(self.engine.as_mut().unwrap(), &plan, |options| {
                options.map_owner = owner;
            });
        Member {
            program: loaded.unwrap()[0].record.program_id,
        }
    }

    fn spec(&self, priority: i32, proceed_on: &[i32], strategy: Option<Strategy>) -> AttachSpec {
        let (interface, proceed_on) = ("far".to_owned(), proceed_on.to_vec());
        match self.kind {
            ProgramKind::Xdp => AttachSpec::Xdp {
                interface,
                priority,
                proceed_on,
                strategy,
            },
            _ => AttachSpec::Tc {
                interface,
                direction: Direction::Ingress,
                priority,
                proceed_on,
                strategy,
            },
        }
    }

    fn try_attach(&mut self, member: &Member, spec: AttachSpec) -> Result<Link, Failure> {
        self.host
            .attach(self.engine.as_mut().unwrap(), member.program, spec)
    }

    fn attach(&mut self, member: &Member, priority: i32) -> Link {
        let spec = self.spec(priority, &[], None);
        let link = self.try_attach(member, spec).unwrap();
        assert!(link.pin_present && link.kernel.is_some(), "{link:?}");
        link
    }

    /// Tags that one packet collects.
    fn trail(&self) -> Vec<u32> {
        let owner = self.owner.unwrap();
        let directory = self.host.layout.map_set(owner);
        let path = std::fs::read_dir(directory)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let trail = pin::get(&path).unwrap();
        let key = 0_u32.to_ne_bytes();
        let length = map::lookup(trail.as_fd(), &key).unwrap().len();
        map::update(trail.as_fd(), &key, &vec![0; length]).unwrap();
        send(1);
        std::thread::sleep(Duration::from_millis(20));
        let words: Vec<u32> = map::lookup(trail.as_fd(), &key)
            .unwrap()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_ne_bytes(*word))
            .collect();
        words[1..1 + words[0] as usize].to_vec()
    }

    fn dispatcher(&mut self) -> Dispatcher {
        let mut all = self.engine().dispatchers().unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn clean(mut self) {
        for program in self.engine().programs().unwrap() {
            now(self.engine().unload(program.record.program_id)).unwrap();
        }
        assert_eq!(self.engine().dispatchers().unwrap(), []);
        let host = self.host;
        host.assert_clean(self.engine());
    }
}

/// The strategies that this kernel can carry out.
fn strategies() -> Vec<Strategy> {
    match support::replacing() {
        Ok(()) => vec![Strategy::Libxdp, Strategy::Fused],
        Err(missing) => {
            skipped(missing);
            vec![Strategy::Fused]
        }
    }
}

/// Programs of XDP and of TC, with what they say to let the chain go on, and to end it.
const KINDS: [(&str, ProgramKind, i32, i32); 2] = [
    ("xdp_member", ProgramKind::Xdp, 2, 1),
    ("tc_member", ProgramKind::Tc, 3, 2),
];

#[test]
fn programs_run_by_priority_until_one_has_the_last_word() {
    with_host(|host| {
        veth();
        for (name, kind, pass, drop) in KINDS {
            for strategy in strategies() {
                let mut scene = Scene::new(host, name, kind);
                let (late, early) = (scene.load(30, pass), scene.load(10, pass));
                let (middle, deaf) = (scene.load(20, drop), scene.load(40, pass));
                let spec = scene.spec(300, &[], Some(strategy));
                let link = scene.try_attach(&late, spec).unwrap();
                assert_eq!(scene.trail(), [30], "{name} {strategy}");
                scene.attach(&early, 100);
                assert_eq!(scene.trail(), [10, 30]);
                scene.attach(&deaf, 400);
                assert_eq!(scene.trail(), [10, 30, 40]);
                let stop = scene.attach(&middle, 200);
                assert_eq!(
                    scene.trail(),
                    [10, 20],
                    "nobody runs behind a verdict that ends"
                );
                let dispatcher = scene.dispatcher();
                assert_eq!(
                    (
                        dispatcher.strategy,
                        dispatcher.member_count,
                        dispatcher.revision
                    ),
                    (strategy, 4, 4)
                );
                let chain = scene.engine().chain(dispatcher.key).unwrap();
                let order: Vec<i32> = chain.members.iter().map(|member| member.priority).collect();
                assert_eq!(order, [100, 200, 300, 400]);

                now(scene.engine().detach(stop.record.id)).unwrap();
                assert_eq!(scene.trail(), [10, 30, 40]);
                // The same link, in another revision.
                let again = scene.engine().link(link.record.id).unwrap();
                assert_eq!(again.record.created_at, link.record.created_at);
                assert!(again.kernel.is_some() && again.pin_present, "{again:?}");
                now(scene.engine().unload(early.program)).unwrap();
                assert_eq!(scene.trail(), [30, 40]);
                assert_eq!(
                    now(scene.engine().doctor()).unwrap().findings,
                    Vec::<String>::new()
                );
                scene.clean();
            }
        }
    });
}

#[test]
fn verdicts_decide_by_the_mask_of_their_place() {
    with_host(|host| {
        veth();
        for (name, kind, pass, drop) in KINDS {
            for strategy in strategies() {
                let mut scene = Scene::new(host, name, kind);
                let (first, second) = (scene.load(1, drop), scene.load(2, pass));
                let spec = scene.spec(1, &[drop], Some(strategy));
                let link = scene.try_attach(&first, spec).unwrap();
                scene.attach(&second, 2);
                assert_eq!(scene.trail(), [1, 2], "drop lets this chain go on");
                now(scene.engine().detach(link.record.id)).unwrap();
                let spec = scene.spec(1, &[pass], None);
                scene.try_attach(&first, spec).unwrap();
                assert_eq!(scene.trail(), [1]);
                let spec = scene.spec(1, &[77], None);
                let failure = scene.try_attach(&second, spec).unwrap_err();
                assert_eq!(failure.code, FailureCode::InvalidArgument);
                scene.clean();
            }
        }
    });
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Attach,
    Detach,
    Convert,
}

/// A chain of two, changed with the process killed before every act: afterwards packets see the old chain or the new one,
/// and nothing else is there.
#[test]
fn a_change_of_a_chain_happens_or_not() {
    with_host(|host| {
        veth();
        for (name, kind, pass, _) in KINDS {
            for strategy in strategies() {
                for change in [Change::Attach, Change::Detach, Change::Convert] {
                    changed_with_kills(Scene::new(host, name, kind), pass, strategy, change);
                }
            }
        }
    });
}

fn changed_with_kills(mut scene: Scene<'_>, pass: i32, strategy: Strategy, change: Change) {
    let host = scene.host;
    let members = [1, 2, 3].map(|tag| scene.load(tag, pass));
    let spec = |scene: &Scene<'_>, member: usize| {
        let priority = [10, 20, 30][member];
        scene.spec(priority, &[], (member == 0).then_some(strategy))
    };
    // The other one that this kernel can carry out, or the same again.
    let other = strategies().into_iter().find(|other| *other != strategy);
    let mut first = 0;
    for member in [0, 1] {
        let link = scene.try_attach(&members[member], spec(&scene, member));
        let id = link.unwrap().record.id;
        if member == 0 {
            first = id;
        }
    }
    for number in 0.. {
        let before = scene.dispatcher();
        let third = spec(&scene, 2);
        let killed = scene.killed(number, |engine| match change {
            Change::Attach => {
                let _ = host.attach(engine, members[2].program, third);
            }
            Change::Detach => {
                let _ = now(engine.detach(first));
            }
            Change::Convert => {
                let wanted = other.unwrap_or(strategy);
                let _ = now(engine.convert(before.key, Some(wanted)));
            }
        });
        let after = scene.dispatcher();
        let is_new = after.revision != before.revision;
        let expected = match (change, is_new) {
            (Change::Attach, true) => vec![1, 2, 3],
            (Change::Detach, true) => vec![2],
            _ => vec![1, 2],
        };
        assert_eq!(scene.trail(), expected, "{strategy} {change:?}: {killed:?}");
        if killed.is_none() {
            assert!(is_new && number >= 6, "only {number} points");
            break;
        }
        // Back to where it began.
        match (change, is_new) {
            (_, false) => {}
            (Change::Attach, true) => {
                let links = scene.engine().program(members[2].program).unwrap().links;
                now(scene.engine().detach(links[0].record.id)).unwrap();
            }
            (Change::Detach, true) => {
                let again = scene.try_attach(&members[0], spec(&scene, 0));
                first = again.unwrap().record.id;
            }
            (Change::Convert, true) => {
                now(scene.engine().convert(before.key, Some(strategy))).unwrap();
            }
        }
    }
    scene.clean();
}

#[test]
fn somebody_elses_program_is_refused_and_stays() {
    with_host(|host| {
        veth();
        let mut scene = Scene::new(host, "xdp_member", ProgramKind::Xdp);
        let member = scene.load(1, 2);
        let foreign = load(bpf::COUNTER, &[("xdp_count", ProgramKind::Xdp)]);
        let ifindex = interfaces::index("far").unwrap().unwrap();
        let theirs =
            link::create_xdp(foreign.programs[0].as_fd(), ifindex, XdpMode::Native).unwrap();
        let spec = scene.spec(1, &[], None);
        let failure = scene.try_attach(&member, spec).unwrap_err();
        assert_eq!(
            failure.cause,
            format!(
                "interface already has an XDP program attached: program {} \"xdp_count\"",
                foreign.record(0).program_id
            )
        );
        send(5);
        foreign.wait_for("xdp_count", 5);
        drop(theirs);
        scene.attach(&member, 1);
        assert_eq!(scene.trail(), [1]);
        scene.clean();
    });
}

/// xdp-loader of Debian makes version 2 only (see the system tests).
#[test]
fn a_dispatcher_of_the_libxdp_protocol_is_named_by_its_version_and_its_members() {
    with_host(|host| {
        veth();
        let mut scene = Scene::new(host, "xdp_member", ProgramKind::Xdp);
        let member = scene.load(1, 2);
        let ifindex = interfaces::index("far").unwrap().unwrap();
        for (version, more, words) in [
            (
                2,
                0,
                "version 2, with 2 members (one that is not pinned, one that is not pinned)",
            ),
            (
                3,
                4,
                "version 3, with 2 members (one that is not pinned, one that is not pinned)",
            ),
            (4, 4, "version 4, which bpfman does not read"),
        ] {
            let dispatcher = load_plan(dispatcher_of(version, more));
            let id = dispatcher.record(0).program_id;
            let theirs =
                link::create_xdp(dispatcher.programs[0].as_fd(), ifindex, XdpMode::Native).unwrap();
            let spec = scene.spec(1, &[], None);
            let failure = scene.try_attach(&member, spec).unwrap_err();
            assert_eq!(
                failure.cause,
                format!(
                    "interface already has an XDP program attached: program {id}, a dispatcher of libxdp's protocol, \
                     {words}"
                )
            );
            drop(theirs);
        }
        scene.attach(&member, 1);
        assert_eq!(scene.trail(), [1]);
        scene.clean();
    });
}

/// The dispatcher of another version, with two members, which nothing replaces. The code is the same for all: the verifier
/// sees the number of members, and behind it what this test adds.
fn dispatcher_of(version: u8, more: usize) -> LoadPlan {
    let mut plan = compiled(
        bpf::XDP_DISPATCHER,
        &[("xdp_dispatcher", ProgramKind::Xdp)],
        &[],
    );
    let mut data = dispatcher::configuration(HookKind::Xdp, &[4, 4], false);
    data[1] = version;
    data.resize(data.len() + more, 0);
    let map = &mut plan.maps[0];
    map.value_size += u32::try_from(more).unwrap();
    // The type of the section has the size of version 2.
    (map.btf_key_type_id, map.btf_value_type_id) = (0, 0);
    map.initial = Some(data);
    plan
}
