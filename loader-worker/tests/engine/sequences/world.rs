//! The engine, its kernel and its packets, as a sequence of requests sees them.

use super::model::{Attachment, Hook, Model, Program, Request};
use crate::crashes::kill;
use crate::host::{Host, now};
use crate::kernel_support::{Loaded, compiled, load, send, tc, tcx, veth};
use crate::switch::Mode;
use ipc::messages::attach::{AttachSpec, Direction};
use ipc::messages::chain::{HookKey, HookKind, Strategy};
use ipc::messages::failure::Failure;
use ipc::messages::mprog::MprogHook;
use ipc::messages::program::{GlobalValue, ProgramKind};
use loader_worker::chains::support;
use loader_worker::engine::Engine;
use loader_worker::kernel::netlink::Socket;
use loader_worker::kernel::{clsact, info, interfaces, map, pin, probe, query, xdp_hook};
use loader_worker::network_namespace::NetworkNamespace;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

const INTERFACE: &str = "far";

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    None,
    /// The act at this point fails.
    Fail(usize),
    /// The process is killed before this point, or behind the last one.
    Crash(usize),
}

/// Programs of others on the hooks, which must not be touched.
struct Others {
    program: Loaded,
    /// Where the kernel has tcx.
    _link: Option<OwnedFd>,
}

/// The state after a request. A request that changes nothing leads to both.
struct Found {
    is_old: bool,
    is_new: bool,
}

pub(super) struct World<'a> {
    host: &'a Host,
    engine: Option<Engine>,
    model: Model,
    others: Others,
    ifindex: u32,
    nsid: u64,
    /// The program whose trail all members write.
    owner: Option<u32>,
    last_link: u64,
}

impl<'a> World<'a> {
    pub(super) fn new(host: &'a Host) -> Self {
        veth();
        tc("qdisc add dev far clsact");
        tc(
            "filter add dev far ingress protocol ip pref 10 u32 match ip dst 203.0.113.9/32 flowid 1:1",
        );
        let program = load(bpf::COUNTER, &[("tcx_ingress_count", ProgramKind::Tcx)]);
        let link = probe::tcx().is_ok().then(|| {
            let spec = tcx(INTERFACE, Direction::Ingress, 1);
            program.attach(0, &spec, None, &[]).unwrap().link
        });
        Self {
            host,
            engine: Some(host.open()),
            model: Model::default(),
            others: Others {
                program,
                _link: link,
            },
            ifindex: interfaces::index(INTERFACE).unwrap().unwrap(),
            nsid: NetworkNamespace::own().unwrap().id(),
            owner: None,
            last_link: 0,
        }
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Carries out a request, whatever happens to it, and finds the world in a state in which it may be.
    pub(super) fn carry_out(&mut self, request: &Request, trouble: Trouble) {
        let refusal = self.model.refusal(request, support::replacing().is_ok());
        let (ended, reached) = match trouble {
            Trouble::None => (self.ask(request), None),
            Trouble::Fail(number) => {
                self.host.switch.set(Mode::Fail(number));
                let ended = self.ask(request);
                let fired = self.host.switch.fired();
                self.host.switch.set(Mode::Off);
                if fired.is_some() {
                    self.heal();
                    if ended.is_err() {
                        return self.after_failure(request, refusal.is_some());
                    }
                }
                (ended, None)
            }
            Trouble::Crash(number) => {
                let engine = self.engine.take().unwrap();
                let mut ended = Ok(());
                let killed = kill(self.host, engine, number, |engine| {
                    ended = ask(self.host, engine, self.owner, request);
                });
                let (point, engine) = killed.map_or_else(
                    || (None, self.host.open()),
                    |(point, engine)| (Some(point), engine),
                );
                self.engine = Some(engine);
                (ended, point)
            }
        };
        let found = self.find_state(request, refusal.is_some());
        match (refusal, reached.as_deref()) {
            (Some(code), None) => assert_eq!(ended.unwrap_err().code, code, "{request:?}"),
            (None, None) => {
                ended.unwrap();
                assert!(found.is_new, "{request:?} was answered");
            }
            (_, Some("Answer")) => assert!(found.is_new, "{request:?} was committed"),
            (_, Some("Begin")) => assert!(found.is_old, "{request:?} had not begun"),
            (_, Some(_)) => {}
        }
        self.check();
    }

    /// What was begun and could be neither finished nor taken back is finished by the next process at the latest.
    fn heal(&mut self) {
        if !now(self.engine().doctor()).unwrap().findings.is_empty() {
            self.engine = None;
            // What a request to take things away has left is told, and asking again takes it away.
            self.engine = Some(self.host.try_open().unwrap().0);
        }
    }

    /// What could not be made is not there. What could not be taken away can be taken away by asking again.
    fn after_failure(&mut self, request: &Request, is_refused: bool) {
        let is_there = match request {
            Request::Detach(id) => self.engine().link(*id).is_ok(),
            Request::Unload(id) => self.engine().program(*id).is_ok(),
            _ => {
                let found = self.find_state(request, is_refused);
                assert!(found.is_old, "{request:?} failed");
                return self.check();
            }
        };
        if is_there {
            self.ask(request).unwrap();
        }
        let found = self.find_state(request, is_refused);
        assert!(found.is_new, "{request:?} was asked again");
        self.check();
    }

    /// Takes everything away, and sees that it is.
    pub(super) fn end(mut self) {
        let programs: Vec<u32> = self.model.programs.keys().copied().collect();
        for program in programs {
            self.carry_out(&Request::Unload(program), Trouble::None);
        }
        assert_eq!(self.model, Model::default());
        let host = self.host;
        host.assert_clean(self.engine());
    }

    fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().unwrap()
    }

    fn ask(&mut self, request: &Request) -> Result<(), Failure> {
        let (host, owner) = (self.host, self.owner);
        ask(host, self.engine(), owner, request)
    }

    fn key(&self, hook: Hook) -> HookKey {
        key(hook, self.nsid, self.ifindex)
    }

    /// Which of the states that the request may lead to this is. The model follows.
    fn find_state(&mut self, request: &Request, is_refused: bool) -> Found {
        let engine = self.engine.as_ref().unwrap();
        let programs: BTreeSet<u32> = engine
            .programs()
            .unwrap()
            .iter()
            .map(|entry| entry.record.program_id)
            .collect();
        let links: BTreeSet<u64> = engine
            .links()
            .unwrap()
            .iter()
            .map(|entry| entry.record.id)
            .collect();
        let dispatchers = engine.dispatchers().unwrap();
        let is_here = |state: &Model| {
            let requested = [Hook::Xdp, Hook::Tc].into_iter().all(|hook| {
                let found = dispatchers
                    .iter()
                    .find(|found| found.key == self.key(hook))
                    .and_then(|found| found.requested);
                found == state.requested.get(&hook).copied()
            });
            state.programs.keys().eq(&programs) && state.links.keys().eq(&links) && requested
        };
        let given = match request {
            Request::Load(_) => programs
                .iter()
                .find(|id| !self.model.programs.contains_key(id))
                .map(|id| u64::from(*id)),
            _ => links
                .iter()
                .find(|id| !self.model.links.contains_key(id))
                .copied(),
        };
        let states = if is_refused {
            vec![self.model.clone()]
        } else {
            self.model.states(request, given)
        };
        let position = states.iter().rposition(is_here);
        let position = position.unwrap_or_else(|| {
            panic!("{request:?} led to none of {states:#?}: programs {programs:?}, links {links:?}, {dispatchers:#?}")
        });
        if let (Request::Attach(..), Some(id)) = (request, given) {
            assert!(id > self.last_link, "link id {id} was given twice");
            self.last_link = id;
        }
        let is_made = matches!(request, Request::Load(_) | Request::Attach(..));
        let found = Found {
            is_old: states[position] == self.model,
            // What was given no id was not made.
            is_new: is_refused
                || states[position] == states[states.len() - 1] && !(is_made && given.is_none()),
        };
        self.model = states.into_iter().nth(position).unwrap();
        if self.model.programs.is_empty() {
            self.owner = None;
        } else if let (Request::Load(_), Some(id), None) = (request, given, self.owner) {
            self.owner = u32::try_from(id).ok();
        }
        found
    }

    /// Engine, kernel and packets against the model.
    fn check(&mut self) {
        let replacing = support::replacing().is_ok();
        let engine = self.engine.as_ref().unwrap();
        assert_eq!(now(engine.doctor()).unwrap().findings, Vec::<String>::new());
        for entry in engine.programs().unwrap() {
            let id = entry.record.program_id;
            assert!(entry.kernel.is_some(), "program {id} is in the kernel");
            let links = self.model.links.iter();
            let links = links.filter(|(_, link)| link.program == id);
            assert!(links.map(|(id, _)| *id).eq(entry.links), "{id}");
        }
        for (id, attachment) in &self.model.links {
            let link = engine.link(*id).unwrap();
            assert_eq!(link.record.program_id, attachment.program);
            assert!(link.kernel.is_some() && link.pin_present, "{link:?}");
        }
        let socket = Socket::open().unwrap();
        let mut chains = engine.dispatchers().unwrap();
        for hook in [Hook::Xdp, Hook::Tcx, Hook::Tc] {
            let members = self.model.on(hook);
            let ids: Vec<u64> = members.iter().map(|(id, ..)| *id).collect();
            if hook == Hook::Tcx {
                let wanted = members.iter().map(|(_, link, _)| link.program);
                let wanted: Vec<u32> = wanted.chain(self.other_on_tcx()).collect();
                let found = query::mprog(self.ifindex, MprogHook::Tcx(Direction::Ingress));
                assert_eq!(found.map_or_else(|_| vec![], |hook| hook.programs), wanted);
                continue;
            }
            let key = self.key(hook);
            let dispatcher = chains
                .iter()
                .position(|chain| chain.key == key)
                .map(|at| chains.remove(at));
            let head = dispatcher
                .as_ref()
                .map(|dispatcher| dispatcher.program_id)
                .into_iter();
            let on_hook = if hook == Hook::Xdp {
                xdp_hook::programs(&socket, self.ifindex).unwrap()
            } else {
                let filters = clsact::filters(&socket, self.ifindex, Direction::Ingress).unwrap();
                let others = filters.iter().filter(|filter| filter.kind == "u32");
                assert!(others.count() > 0, "the filter of somebody else");
                filters
                    .iter()
                    .filter_map(|filter| filter.program_id)
                    .collect()
            };
            assert!(head.eq(on_hook.iter().copied()), "{hook:?}: {on_hook:?}");
            let Some(dispatcher) = dispatcher else {
                assert!(ids.is_empty(), "{hook:?} has no chain");
                continue;
            };
            let requested = self.model.requested.get(&hook).copied();
            let strategy = Model::strategy(requested, ids.len(), replacing);
            assert_eq!(Ok(dispatcher.strategy), strategy);
            let chain = engine.chain(key).unwrap();
            let shown = chain.members.iter().map(|member| member.link_id);
            assert_eq!(shown.collect::<Vec<_>>(), ids, "{hook:?}");
        }
        assert_eq!(chains, [], "chains of nothing");
        self.send_packet();
    }

    fn other_on_tcx(&self) -> Option<u32> {
        let id = || {
            let other = info::program(self.others.program.programs[0].as_fd());
            other.unwrap().0.id
        };
        self.others._link.as_ref().map(|_| id())
    }

    /// One packet runs the members in the order of the model.
    fn send_packet(&self) {
        let Some(owner) = self.owner else {
            return;
        };
        let directory = self.host.layout.map_set(owner);
        let pin = std::fs::read_dir(directory).unwrap().next();
        let trail = pin::get(&pin.unwrap().unwrap().path()).unwrap();
        let key = 0_u32.to_ne_bytes();
        let read = || {
            let value = map::lookup(trail.as_fd(), &key).unwrap();
            let words = value.as_chunks::<4>().0.iter();
            let words: Vec<u32> = words.map(|word| u32::from_ne_bytes(*word)).collect();
            words[1..1 + words[0] as usize].to_vec()
        };
        let length = map::lookup(trail.as_fd(), &key).unwrap().len();
        map::update(trail.as_fd(), &key, &vec![0; length]).unwrap();
        send(1);
        let expected = self.model.trail();
        let deadline = Instant::now() + Duration::from_secs(5);
        while read() != expected && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(read(), expected, "what a packet runs");
    }
}

fn key(hook: Hook, nsid: u64, ifindex: u32) -> HookKey {
    HookKey {
        kind: if hook == Hook::Xdp {
            HookKind::Xdp
        } else {
            HookKind::TcIngress
        },
        nsid,
        ifindex,
    }
}

fn ask(
    host: &Host,
    engine: &mut Engine,
    owner: Option<u32>,
    request: &Request,
) -> Result<(), Failure> {
    match request {
        Request::Load(program) => load_member(host, engine, owner, program),
        Request::Attach(link, strategy) => {
            let record = engine.program(link.program)?.record;
            let spec = spec(record.kind, link, *strategy);
            host.attach(engine, link.program, spec).map(drop)
        }
        Request::Detach(id) => now(engine.detach(*id)),
        Request::Unload(id) => now(engine.unload(*id)),
        Request::Convert(hook, strategy) => {
            let ifindex = interfaces::index(INTERFACE).unwrap().unwrap();
            let key = key(*hook, NetworkNamespace::own()?.id(), ifindex);
            now(engine.convert(key, *strategy)).map(drop)
        }
    }
}

fn load_member(
    host: &Host,
    engine: &mut Engine,
    owner: Option<u32>,
    program: &Program,
) -> Result<(), Failure> {
    let (function, kind) = match program.hook {
        Hook::Xdp => ("xdp_member", ProgramKind::Xdp),
        Hook::Tcx => ("tc_member", ProgramKind::Tcx),
        Hook::Tc => ("tc_member", ProgramKind::Tc),
    };
    let globals = [
        ("tag", program.tag.to_ne_bytes()),
        ("verdict", program.verdict.to_ne_bytes()),
    ];
    let globals = globals.map(|(name, bytes)| GlobalValue {
        name: name.into(),
        bytes: bytes.to_vec(),
    });
    let mut plan = host.marked(compiled(bpf::CHAIN, &[(function, kind)], &globals));
    plan.programs[0].name.push_str(&program.name);
    let loaded = host.load_with(engine, &plan, |options| options.map_owner = owner);
    loaded.map(drop)
}

fn spec(kind: ProgramKind, link: &Attachment, strategy: Option<Strategy>) -> AttachSpec {
    let (interface, direction) = (INTERFACE.to_owned(), Direction::Ingress);
    let (priority, proceed_on) = (link.priority, link.proceed_on.clone());
    match kind {
        ProgramKind::Tcx => AttachSpec::Tcx {
            interface,
            direction,
            priority,
        },
        ProgramKind::Xdp => AttachSpec::Xdp {
            interface,
            priority,
            proceed_on,
            strategy,
        },
        _ => AttachSpec::Tc {
            interface,
            direction,
            priority,
            proceed_on,
            strategy,
        },
    }
}
