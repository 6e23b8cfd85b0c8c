//! What the kernel tests share: a private corner of the machine, loaded fixtures, traffic.
#![allow(
    dead_code,
    unsafe_code,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test binary uses a part; unshare(2) has no safe wrapper for one thread; tests run ip(8), and panic"
)]

use image_worker::compile::{Request, RunningKernel, compile};
use ipc::messages::attach::{AttachSpec, Direction, LinkDetails, LinkRecord};
use ipc::messages::program::{GlobalValue, ProgramKind, ProgramRecord, ProgramRequest, Source};
use ipc::plan::LoadPlan;
use loader_worker::kernel::{btf, info, map, pin, program};
use loader_worker::kinds::{self, AttachRequest, Attached, Target};
use loader_worker::network_namespace::NetworkPlace;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs a test in a thread with its own network and mount namespace, tracefs, and an empty bpffs whose path it is given.
/// Without root it says so and passes.
pub(crate) fn isolated(test: impl FnOnce(&Path) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        skipped("loading eBPF and making namespaces needs root");
        return;
    }
    let mount_point = tempfile::tempdir().unwrap();
    let bpffs = mount_point.path().to_owned();
    // All of it ends with the thread.
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let outcome = std::thread::Builder::new()
        .name(name)
        .spawn(move || {
            // SAFETY: only this thread's namespaces change, and nothing else shares its working directory and root with it
            // afterwards.
            let answer = unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) };
            assert_eq!(answer, 0, "unshare: {}", std::io::Error::last_os_error());
            mount_change(
                "/",
                MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
            )
            .unwrap();
            if !Path::new("/sys/kernel/tracing/events").exists() {
                mount(
                    "tracefs",
                    "/sys/kernel/tracing",
                    "tracefs",
                    MountFlags::empty(),
                    None,
                )
                .unwrap();
            }
            mount("bpffs", &bpffs, "bpf", MountFlags::empty(), None).unwrap();
            test(&bpffs);
        })
        .unwrap()
        .join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Says why a test does not run, past the capture of the test harness. `cargo xtask test` counts these lines.
pub(crate) fn skipped(reason: impl std::fmt::Display) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {reason}");
}

/// Makes another network namespace and does something in it, on a thread that ends with it; the namespace lasts as long
/// as the descriptor.
pub(crate) fn elsewhere(work: impl FnOnce() + Send) -> OwnedFd {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: only this thread is moved.
            let answer = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(answer, 0, "unshare: {}", std::io::Error::last_os_error());
            work();
            OwnedFd::from(std::fs::File::open("/proc/thread-self/ns/net").unwrap())
        });
        thread.join().unwrap()
    })
}

/// Does something in another network namespace.
pub(crate) fn inside(namespace: &OwnedFd, work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work();
        });
        thread.join().unwrap();
    });
}

/// Runs ip(8) in the thread's network namespace.
pub(crate) fn ip(arguments: &str) {
    tool("ip", arguments);
}

/// Runs tc(8) in the thread's network namespace.
pub(crate) fn tc(arguments: &str) {
    tool("tc", arguments);
}

fn tool(name: &str, arguments: &str) {
    let output = Command::new(name)
        .args(arguments.split(' '))
        .output()
        .expect("it is installed");
    assert!(
        output.status.success(),
        "{name} {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A number from the environment, for those who look for a failure.
pub(crate) fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is no number")),
    )
}

/// Whether the machine is emulated, and slow.
pub(crate) fn is_emulated() -> bool {
    std::env::var_os("BPFMAN_TEST_SLOW").is_some()
}

/// A pair of interfaces: what is sent with [`send`] leaves `near` and arrives at `far`, and nothing else moves.
pub(crate) fn veth() {
    let quiet = Command::new("sh")
        .args([
            "-c",
            "for f in default all; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done",
        ])
        .status();
    assert!(quiet.unwrap().success());
    ip("link add near type veth peer name far");
    ip("link set near up");
    ip("link set far up");
    ip("addr add 192.0.2.1/24 dev near");
    ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev near");
}

/// Sends packets from `near` to `far`.
pub(crate) fn send(packets: u64) {
    let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
    for _ in 0..packets {
        socket.send_to(b"counted", "192.0.2.2:9").unwrap();
    }
}

/// A fixture in the kernel.
pub(crate) struct Loaded {
    pub(crate) plan: LoadPlan,
    pub(crate) maps: Vec<OwnedFd>,
    pub(crate) programs: Vec<OwnedFd>,
}

/// Compiles programs of a fixture.
pub(crate) fn plan(object: &[u8], programs: &[(&str, ProgramKind)]) -> LoadPlan {
    compiled(object, programs, &[])
}

/// Compiles programs of a fixture, with values for its globals.
pub(crate) fn compiled(
    object: &[u8],
    programs: &[(&str, ProgramKind)],
    globals: &[GlobalValue],
) -> LoadPlan {
    let programs: Vec<ProgramRequest> = programs
        .iter()
        .map(|(name, kind)| ProgramRequest {
            name: (*name).into(),
            kind: *kind,
            attach_function: None,
        })
        .collect();
    compile(
        object,
        &Request {
            programs: &programs,
            globals,
            types: &[],
        },
        &mut RunningKernel::default(),
    )
    .expect("the fixture compiles")
}

/// Loads programs of a fixture as the loader does.
pub(crate) fn load(object: &[u8], programs: &[(&str, ProgramKind)]) -> Loaded {
    load_plan(plan(object, programs))
}

/// Loads a plan as the loader does.
pub(crate) fn load_plan(plan: LoadPlan) -> Loaded {
    let btf = plan
        .btf
        .as_deref()
        .map(|blob| btf::load(blob).expect("BTF"));
    let btf = btf.as_ref().map(AsFd::as_fd);
    let mut maps: Vec<OwnedFd> = Vec::new();
    for map_plan in &plan.maps {
        let inner = map_plan.inner.map(|index| maps[index as usize].as_fd());
        let created = map::create(map_plan, btf, inner, &map_plan.name)
            .unwrap_or_else(|error| panic!("map {}: {error}", map_plan.name));
        if let Some(contents) = &map_plan.initial {
            map::write_initial(created.as_fd(), contents).unwrap();
        }
        if map_plan.freeze {
            map::freeze(created.as_fd()).unwrap();
        }
        maps.push(created);
    }
    let borrowed: Vec<BorrowedFd<'_>> = maps.iter().map(AsFd::as_fd).collect();
    let programs = plan
        .programs
        .iter()
        .map(|program| {
            program::load(program, &plan.license, btf, &borrowed).unwrap_or_else(|error| {
                panic!("{}: {error}\n{:?}", program.name, error.verifier_log)
            })
        })
        .collect();
    Loaded {
        plan,
        maps,
        programs,
    }
}

impl Loaded {
    /// A map by its name.
    pub(crate) fn map(&self, name: &str) -> BorrowedFd<'_> {
        let index = self
            .plan
            .maps
            .iter()
            .position(|map| map.name == name)
            .expect("a map of this name");
        self.maps[index].as_fd()
    }

    /// What the program with this name has counted ([`bpf::COUNTER`]).
    pub(crate) fn count(&self, program: &str) -> u64 {
        let slot = bpf::COUNTER_SLOTS
            .iter()
            .position(|slot| *slot == program)
            .expect("a counting program");
        let value = map::lookup(self.map("counters"), &(slot as u32).to_ne_bytes()).unwrap();
        u64::from_ne_bytes(value.try_into().unwrap())
    }

    /// Waits until a program has counted this many: packets arrive a little after they were sent.
    pub(crate) fn wait_for(&self, program: &str, count: u64) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.count(program) < count && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(self.count(program), count, "{program}");
    }

    /// The record of a program.
    pub(crate) fn record(&self, index: usize) -> ProgramRecord {
        let plan = &self.plan.programs[index];
        record(
            info::program(self.programs[index].as_fd()).unwrap().0.id,
            &plan.name,
            plan.kind,
        )
    }

    /// Attaches a program, no helper being needed.
    pub(crate) fn attach(
        &self,
        index: usize,
        spec: &AttachSpec,
        target: Option<Target<'_>>,
        links: &[LinkRecord],
    ) -> Result<Attached, ipc::messages::failure::Failure> {
        let record = self.record(index);
        spec.check_kind(record.program_id, record.kind)?;
        let network = match kinds::of(spec).network(spec) {
            kinds::Network::Interface(name) => Some(NetworkPlace::own(name)?),
            _ => None,
        };
        let request = AttachRequest {
            program: self.programs[index].as_fd(),
            record: &record,
            spec,
            target,
            network: network.as_ref(),
            links,
        };
        let hook = match kinds::prepare(&request)? {
            kinds::Prepared::Ready(hook) => hook,
            kinds::Prepared::NeedsHelper { job, .. } => panic!("root needs no helper for {job:?}"),
        };
        kinds::attach(&request, hook, None)
    }
}

/// A record with only what attaching looks at.
pub(crate) fn record(program_id: u32, name: &str, kind: ProgramKind) -> ProgramRecord {
    ProgramRecord {
        program_id,
        name: name.into(),
        kind,
        section: String::new(),
        attach_function: None,
        license: String::new(),
        gpl_compatible: true,
        metadata: BTreeMap::new(),
        globals: Vec::new(),
        source: Source::File(String::new()),
        object_digest: [0; 32],
        plan_path: String::new(),
        pin_path: String::new(),
        maps_dir: String::new(),
        map_owner: None,
        loaded_by: 0,
        created_at: 0,
    }
}

/// The record of a link that was made.
pub(crate) fn link_record(id: u64, attached: &Attached) -> LinkRecord {
    LinkRecord {
        id,
        program_id: attached.kernel.program_id,
        kernel_link_id: Some(attached.kernel.id),
        kind: attached.kind,
        pin_path: String::new(),
        details: attached.details.clone(),
        created_at: 0,
        metadata: BTreeMap::new(),
    }
}

/// Where a tcx program goes.
pub(crate) fn tcx(interface: &str, direction: Direction, priority: i32) -> AttachSpec {
    AttachSpec::Tcx {
        interface: interface.into(),
        direction,
        priority,
    }
}

/// The position that was recorded.
pub(crate) fn position(attached: &Attached) -> u32 {
    match attached.details {
        LinkDetails::Tcx { position, .. } | LinkDetails::Xdp { position, .. } => position,
        _ => panic!("no position in {:?}", attached.details),
    }
}

/// Pins a link where its kind says.
pub(crate) fn pin_link(
    bpffs: &Path,
    link_id: u64,
    spec: &AttachSpec,
    attached: &Attached,
) -> PathBuf {
    let place = kinds::of(spec).pin(link_id, attached.kernel.program_id, &attached.details);
    let path = bpffs.join(place);
    pin::pin(attached.link.as_fd(), &path).unwrap();
    path
}
