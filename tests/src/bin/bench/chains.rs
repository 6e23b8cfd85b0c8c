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
use std::time::Instant;

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
    plan: LoadPlan,
    maps: Vec<OwnedFd>,
    five: OwnedFd,
    hook: OwnedFd,
}

impl Floor {
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
        let five = load(&plan, &maps, MEMBERS)?;
        let ifindex = interfaces::index(INTERFACE)?.context("no interface")?;
        let hook = link::create_xdp(five.as_fd(), ifindex, XdpMode::Native)?;
        Ok(Self {
            plan,
            maps,
            five,
            hook,
        })
    }

    fn attach(&self, head: &std::path::Path) -> Result<OwnedFd> {
        let six = load(&self.plan, &self.maps, MEMBERS + 1)?;
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

/// The program of a chain with so many members, all of which have the same maps.
fn load(plan: &LoadPlan, maps: &[OwnedFd], members: usize) -> Result<OwnedFd> {
    let own: Vec<u32> = (1..).take(plan.maps.len()).collect();
    let members: Vec<_> = (0..members)
        .map(|slot| fused::Member {
            program: &plan.programs[0],
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
    let maps: Vec<BorrowedFd<'_>> = maps.iter().map(AsFd::as_fd).collect();
    Ok(program::load(&program, "GPL", Some(types.as_fd()), &maps)?)
}

/// 64 hooks, each with a chain of one that gets a second member, and loses it again.
pub(crate) fn many(instance: &Instance, rounds: usize) -> Result<Many> {
    let interfaces: Vec<String> = (0..HOOKS).map(|hook| format!("many{hook}")).collect();
    for interface in &interfaces {
        pair(instance, interface);
    }
    let counter = Counter::load(instance, "xdp:xdp_count", slot::XDP);
    let program = counter.program;
    let mut clients: Vec<Client> = interfaces.iter().map(|_| instance.client()).collect();
    for interface in &interfaces {
        attach(&mut clients[0], program, interface, 1)?;
    }
    let mut many = Many::default();
    for _ in 0..rounds {
        many.one_by_one.time(|| -> Result<()> {
            let client = &mut clients[0];
            for interface in &interfaces {
                let link = attach(client, program, interface, 2)?;
                detach(client, link)?;
            }
            Ok(())
        })?;
        let barrier = Barrier::new(HOOKS + 1);
        let elapsed = std::thread::scope(|scope| -> Result<_> {
            let threads: Vec<_> = interfaces
                .iter()
                .zip(&mut clients)
                .map(|(interface, client)| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        let link = attach(client, program, interface, 2)?;
                        detach(client, link)
                    })
                })
                .collect();
            barrier.wait();
            let started = Instant::now();
            for thread in threads {
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
            }
            Ok(started.elapsed())
        })?;
        many.at_once.push(elapsed);
    }
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    Ok(many)
}
