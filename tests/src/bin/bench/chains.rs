//! Changes of XDP chains: one more member for a chain of five, and 64 hooks at once. Only where chains are fused, which
//! is where this program knows what the system calls are.

use crate::samples::Samples;
use anyhow::{Context, Result, bail};
use bpfman_tests::fixture::{Counter, slot};
use bpfman_tests::instance::{Client, Instance, ask};
use image_worker::compile::{Request, RunningKernel, compile};
use ipc::messages::attach::{AttachSpec, XdpMode};
use ipc::messages::chain::{HookKind, Strategy};
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::program::{ProgramKind, ProgramRequest};
use ipc::plan::LoadPlan;
use loader_worker::chains::fused::{self, Fused};
use loader_worker::chains::verdicts;
use loader_worker::kernel::{btf, cpus, interfaces, link, map, pin, program};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Members before.
const MEMBERS: usize = 5;
/// Hooks changed at once.
const HOOKS: usize = 64;
/// Where the chain of five is.
const INTERFACE: &str = "five";

/// A member more, by system calls and by a request.
#[derive(Debug, Default)]
pub(crate) struct Sixth {
    pub(crate) floor: Samples,
    pub(crate) connection: Samples,
}

/// Attaching to all hooks and detaching from all of them.
#[derive(Debug, Default)]
pub(crate) struct Many {
    pub(crate) one_by_one: Samples,
    pub(crate) at_once: Samples,
    /// Programs put in one another's place by system calls alone.
    pub(crate) floor: Samples,
}

fn pair(instance: &Instance, name: &str) {
    instance
        .netns()
        .ip(&format!("link add {name} type veth peer name {name}p"));
}

fn attach(client: &mut Client, program_id: u32, interface: &str, priority: i32) -> Result<u64> {
    let request = ClientRequest::Attach {
        program_id,
        spec: AttachSpec::Xdp {
            interface: interface.to_owned(),
            priority,
            proceed_on: Vec::new(),
            strategy: Some(Strategy::Fused),
        },
        metadata: BTreeMap::new(),
    };
    match ask(client, &request) {
        ClientReply::Link(link) => Ok(link.record.id),
        other => bail!("attach answered {other:?}"),
    }
}

fn detach(client: &mut Client, link_id: u64) -> Result<()> {
    match ask(client, &ClientRequest::Detach { link_id }) {
        ClientReply::Done => Ok(()),
        other => bail!("detach answered {other:?}"),
    }
}

/// A sixth member, attached and detached again.
pub(crate) fn sixth(instance: &Instance, rounds: usize) -> Result<Sixth> {
    let mut sixth = Sixth::default();
    pair(instance, INTERFACE);
    let floor = &mut sixth.floor;
    let head = instance.fs().join("floor-head");
    instance.netns().inside(|| -> Result<()> {
        let chain = Floor::new()?;
        for _ in 0..rounds {
            let new = floor.time(|| chain.attach(&head))?;
            chain.take_back(new, &head)?;
        }
        Ok(())
    })?;
    let mut client = instance.client();
    let counter = Counter::load(instance, "xdp:xdp_count", slot::XDP);
    for priority in 0..MEMBERS as i32 {
        attach(&mut client, counter.program, INTERFACE, priority)?;
    }
    for _ in 0..rounds {
        let attached = || attach(&mut client, counter.program, INTERFACE, MEMBERS as i32);
        let link = sixth.connection.time(attached)?;
        detach(&mut client, link)?;
    }
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    Ok(sixth)
}

/// What the loader does of a sixth member, without records and without a process between.
struct Floor {
    parts: Parts,
    five: OwnedFd,
    hook: OwnedFd,
}

/// What chains are made of.
struct Parts {
    plan: LoadPlan,
    maps: Vec<OwnedFd>,
}

impl Parts {
    fn new() -> Result<Self> {
        let request = Request {
            programs: &[ProgramRequest {
                name: "xdp_count".to_owned(),
                kind: ProgramKind::Xdp,
                attach_function: None,
            }],
            globals: &[],
            types: &[],
        };
        let plan = compile(bpf::COUNTER, &request, &mut RunningKernel::default())
            .map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let types = plan.btf.as_deref().map(btf::load).transpose()?;
        let types = types.as_ref().map(AsFd::as_fd);
        let counters = fused::counters(cpus::possible()?);
        let mut maps = vec![map::create(&counters, None, None, "counters")?];
        for plan in &plan.maps {
            let created = map::create(plan, types, None, &plan.name)?;
            if let Some(contents) = &plan.initial {
                map::write_initial(created.as_fd(), contents)?;
            }
            maps.push(created);
        }
        Ok(Self { plan, maps })
    }

    /// The program of a chain with so many members, all of which have the same maps.
    fn load(&self, members: usize) -> Result<OwnedFd> {
        let own: Vec<u32> = (1..).take(self.plan.maps.len()).collect();
        let members: Vec<_> = (0..members)
            .map(|slot| fused::Member {
                program: &self.plan.programs[0],
                maps: &own,
                mask: verdicts::mask(HookKind::Xdp, &[2, 31]),
                slot,
            })
            .collect();
        let Fused {
            program,
            btf: types,
        } = fused::generate(HookKind::Xdp, &members, cpus::possible()?)
            .map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let types = btf::load(&types)?;
        let maps: Vec<BorrowedFd<'_>> = self.maps.iter().map(AsFd::as_fd).collect();
        Ok(program::load(&program, "GPL", Some(types.as_fd()), &maps)?)
    }
}

impl Floor {
    fn new() -> Result<Self> {
        let parts = Parts::new()?;
        let five = parts.load(MEMBERS)?;
        let hook = put(&five, INTERFACE)?;
        Ok(Self { parts, five, hook })
    }

    fn attach(&self, head: &std::path::Path) -> Result<OwnedFd> {
        let six = self.parts.load(MEMBERS + 1)?;
        pin::pin(six.as_fd(), head)?;
        link::update(self.hook.as_fd(), six.as_fd(), Some(self.five.as_fd()))?;
        Ok(six)
    }

    fn take_back(&self, six: OwnedFd, head: &std::path::Path) -> Result<()> {
        link::update(self.hook.as_fd(), self.five.as_fd(), Some(six.as_fd()))?;
        pin::unlink(head)?;
        Ok(())
    }
}

fn put(program: &OwnedFd, interface: &str) -> Result<OwnedFd> {
    let ifindex = interfaces::index(interface)?.context("no interface")?;
    Ok(link::create_xdp(program.as_fd(), ifindex, XdpMode::Native)?)
}

/// Has every hook changed on a thread of its own; how long it takes until all are done.
fn all_at_once<H: Send>(
    hooks: impl ExactSizeIterator<Item = H>,
    change: impl Fn(H) -> Result<()> + Sync,
) -> Result<Duration> {
    let barrier = Barrier::new(hooks.len() + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = hooks
            .map(|hook| {
                let (barrier, change) = (&barrier, &change);
                scope.spawn(move || {
                    barrier.wait();
                    change(hook)
                })
            })
            .collect();
        barrier.wait();
        let started = Instant::now();
        for thread in threads {
            let changed = thread.join();
            changed.map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok(started.elapsed())
    })
}

/// The same by what the kernel does of it: a longer program in the place of a shorter, and back.
fn many_by_system_calls(interfaces: &[String], rounds: usize) -> Result<Samples> {
    let parts = Parts::new()?;
    let (one, two) = (parts.load(1)?, parts.load(2)?);
    let hooks: Vec<OwnedFd> = interfaces
        .iter()
        .map(|interface| put(&one, interface))
        .collect::<Result<_>>()?;
    let mut samples = Samples::default();
    for _ in 0..rounds {
        samples.push(all_at_once(hooks.iter(), |hook| {
            link::update(hook.as_fd(), two.as_fd(), Some(one.as_fd()))?;
            link::update(hook.as_fd(), one.as_fd(), Some(two.as_fd()))?;
            Ok(())
        })?);
    }
    Ok(samples)
}

/// 64 hooks, each with a chain of one that gets a second member, and loses it again.
pub(crate) fn many(instance: &Instance, rounds: usize) -> Result<Many> {
    let interfaces: Vec<String> = (0..HOOKS).map(|hook| format!("many{hook}")).collect();
    for interface in &interfaces {
        pair(instance, interface);
    }
    let floor = instance
        .netns()
        .inside(|| many_by_system_calls(&interfaces, rounds))?;
    let counter = Counter::load(instance, "xdp:xdp_count", slot::XDP);
    let program = counter.program;
    let mut clients: Vec<Client> = interfaces.iter().map(|_| instance.client()).collect();
    for interface in &interfaces {
        attach(&mut clients[0], program, interface, 1)?;
    }
    let mut many = Many {
        floor,
        ..Many::default()
    };
    for _ in 0..rounds {
        many.one_by_one.time(|| -> Result<()> {
            let client = &mut clients[0];
            for interface in &interfaces {
                let link = attach(client, program, interface, 2)?;
                detach(client, link)?;
            }
            Ok(())
        })?;
        let hooks = interfaces.iter().zip(&mut clients);
        many.at_once.push(all_at_once(hooks, |(interface, client)| {
            let link = attach(client, program, interface, 2)?;
            detach(client, link)
        })?);
    }
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    Ok(many)
}
