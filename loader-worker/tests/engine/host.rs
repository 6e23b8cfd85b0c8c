//! A machine of its own for an engine: directories, bpffs, fixtures under names that nobody else uses, and a switch for
//! faults.

use crate::kernel_support::{isolated, plan};
use crate::objects::{Sort, objects};
use crate::switch::Switch;
use ipc::messages::attach::{AttachSpec, Direction};
use ipc::messages::failure::Failure;
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::program::{LoadOptions, Program, ProgramKind, ProgramRequest, Source};
use ipc::plan::LoadPlan;
use loader_worker::drift::Drift;
use loader_worker::engine::{AttachCommand, Engine, Settings};
use loader_worker::faults::Faults;
use loader_worker::helper;
use loader_worker::helpers::{Helpers, Outcome};
use loader_worker::kernel::{info, probe};
use loader_worker::layout::Layout;
use loader_worker::plan_intake::{self, EncodedPlan};
use loader_worker::policy::Identity;
use loader_worker::valid_plan::ValidPlan;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Runs a test with a host of its own.
pub(crate) fn with_host(test: impl FnOnce(&mut Host) + Send + 'static) {
    isolated(move |_| {
        let mut host = Host::new();
        test(&mut host);
    });
}

/// Waits for what the engine does.
pub(crate) fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(work)
}

pub(crate) struct Host {
    directory: tempfile::TempDir,
    pub(crate) layout: Layout,
    pub(crate) switch: Switch,
    pub(crate) runtime: tokio::runtime::Runtime,
    /// In every name of a program or map of this host.
    mark: String,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = unmount(self.layout.fs(), UnmountFlags::DETACH);
    }
}

impl Host {
    fn new() -> Self {
        static HOSTS: AtomicU32 = AtomicU32::new(0);
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(
            &directory.path().join("run"),
            &directory.path().join("state"),
        );
        fs::create_dir_all(layout.fs()).unwrap();
        let host = HOSTS.fetch_add(1, Ordering::Relaxed);
        let mut this = Self {
            directory,
            layout,
            switch: Switch::default(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            mark: format!("{:x}_{host:x}_", std::process::id()),
        };
        this.boot();
        this
    }

    fn boot(&mut self) {
        mount("bpffs", self.layout.fs(), "bpf", MountFlags::empty(), None).unwrap();
    }

    /// What a restart of the machine does to the directories.
    pub(crate) fn reboot(&mut self) {
        unmount(self.layout.fs(), UnmountFlags::DETACH).unwrap();
        self.boot();
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(crate) fn try_open(&self) -> Result<(Engine, Vec<Drift>), Failure> {
        self.open_with(self.switch.faults())
    }

    pub(crate) fn open_with(&self, faults: Faults) -> Result<(Engine, Vec<Drift>), Failure> {
        now(Engine::open(Settings {
            layout: self.layout.clone(),
            helpers: Arc::new(InProcess),
            faults,
        }))
    }

    pub(crate) fn open(&self) -> Engine {
        let (engine, drift) = self.try_open().unwrap();
        assert_eq!(drift, [], "drift after opening");
        engine
    }

    /// A valid plan of a fixture, its programs and maps renamed so that they can be found in the kernel.
    pub(crate) fn plan(&self, object: &[u8], programs: &[(&str, ProgramKind)]) -> LoadPlan {
        self.marked(plan(object, programs))
    }

    /// The plan with names that can be found in the kernel.
    pub(crate) fn marked(&self, mut plan: LoadPlan) -> LoadPlan {
        for (index, program) in plan.programs.iter_mut().enumerate() {
            program.name = format!("{}p{index}", self.mark);
        }
        for (index, map) in plan.maps.iter_mut().enumerate() {
            map.name = format!(
                "{}{}m{index}",
                if map.internal { "." } else { "" },
                self.mark
            );
        }
        plan
    }

    pub(crate) fn load(
        &self,
        engine: &mut Engine,
        plan: &LoadPlan,
    ) -> Result<Vec<Program>, Failure> {
        self.load_with(engine, plan, |_| {})
    }

    pub(crate) fn load_with(
        &self,
        engine: &mut Engine,
        plan: &LoadPlan,
        change: impl FnOnce(&mut LoadOptions),
    ) -> Result<Vec<Program>, Failure> {
        let mut options = options(plan);
        change(&mut options);
        self.runtime
            .block_on(engine.load(1000, &valid(plan), &options))
    }

    pub(crate) fn attach(
        &self,
        engine: &mut Engine,
        program_id: u32,
        spec: AttachSpec,
    ) -> Result<ipc::messages::attach::Link, Failure> {
        self.attach_with(engine, program_id, spec, BTreeMap::new())
    }

    pub(crate) fn attach_with(
        &self,
        engine: &mut Engine,
        program_id: u32,
        spec: AttachSpec,
        metadata: BTreeMap<String, String>,
    ) -> Result<ipc::messages::attach::Link, Failure> {
        let command = AttachCommand {
            program_id,
            spec,
            target: None,
            places: vec![],
            namespace: None,
            metadata,
        };
        self.runtime.block_on(engine.attach(&user(0), &command))
    }

    /// Nothing of this host is in the store, in the plan directory, in bpffs, in the kernel.
    pub(crate) fn assert_clean(&self, engine: &Engine) {
        assert_eq!(engine.programs().unwrap(), []);
        assert_eq!(engine.links().unwrap(), []);
        assert_eq!(now(engine.doctor()).unwrap().findings, Vec::<String>::new());
        assert_eq!(files(&self.state().join("plans")), Vec::<PathBuf>::new());
        assert_eq!(self.pins(), Vec::<PathBuf>::new());
        let maps = fs::read_dir(self.layout.fs().join("maps")).unwrap().count();
        assert_eq!(maps, 0, "directories of maps");
        // The kernel frees objects a moment after their last holder let go.
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.in_kernel().is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(
            self.in_kernel(),
            Vec::<String>::new(),
            "objects in the kernel"
        );
    }

    /// Every pin; names with a dot are the kernel's own.
    pub(crate) fn pins(&self) -> Vec<PathBuf> {
        files(self.layout.fs())
            .into_iter()
            .filter(|path| path.extension().is_none())
            .collect()
    }

    /// Names of programs and maps of this host that the kernel has, whoever holds them. A link holds its program.
    pub(crate) fn in_kernel(&self) -> Vec<String> {
        let programs = objects(Sort::Program)
            .into_iter()
            .filter_map(|fd| Some(info::program(fd.as_fd()).ok()?.0.name));
        let maps = objects(Sort::Map)
            .into_iter()
            .filter_map(|fd| Some(info::map(fd.as_fd()).ok()?.name));
        programs
            .chain(maps)
            .filter(|name| name.contains(&self.mark))
            .collect()
    }
}

/// A request for all programs of a plan.
pub(crate) fn options(plan: &LoadPlan) -> LoadOptions {
    let programs = plan.programs.iter().map(|program| ProgramRequest {
        name: program.name.clone(),
        kind: program.kind,
        attach_function: None,
    });
    LoadOptions {
        programs: programs.collect(),
        metadata: BTreeMap::from([("team".into(), "storage".into())]),
        globals: vec![],
        map_owner: None,
        maps_mode: None,
        maps_group: None,
        source: Source::File("counter.o".into()),
    }
}

pub(crate) fn valid(plan: &LoadPlan) -> ValidPlan {
    let bytes = ipc::codec::encode(plan, ipc::limits::PLAN_BYTES).unwrap();
    let digest = plan_intake::digest(&bytes);
    ValidPlan::try_from(EncodedPlan {
        digest,
        bytes,
        plan: plan.clone(),
    })
    .unwrap()
}

pub(crate) fn tracepoint() -> AttachSpec {
    AttachSpec::Tracepoint {
        group: "syscalls".into(),
        name: "sys_enter_getpid".into(),
    }
}

/// The kernel takes a program only once on one tracepoint.
pub(crate) fn other_tracepoint() -> AttachSpec {
    AttachSpec::Tracepoint {
        group: "syscalls".into(),
        name: "sys_enter_getppid".into(),
    }
}

pub(crate) fn tcx(priority: i32) -> AttachSpec {
    AttachSpec::Tcx {
        interface: "lo".into(),
        direction: Direction::Ingress,
        priority,
    }
}

/// A program of the network and where it goes: tcx, or, on kernels without it, xdp.
pub(crate) fn network() -> ((&'static str, ProgramKind), AttachSpec) {
    if probe::tcx().is_ok() {
        return (("tcx_ingress_count", ProgramKind::Tcx), tcx(7));
    }
    let spec = AttachSpec::Xdp {
        interface: "lo".into(),
        priority: 7,
        proceed_on: vec![],
        strategy: None,
    };
    (("xdp_count", ProgramKind::Xdp), spec)
}

/// Every file beneath a directory.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// A client.
pub(crate) fn user(uid: u32) -> Identity {
    Identity {
        uid,
        gid: uid,
        pid: 0,
        groups: vec![],
    }
}

/// Does a helper's job in this process, which is root; on a thread of its own, which may end elsewhere and as somebody else.
#[derive(Debug)]
pub(crate) struct InProcess;

impl Helpers for InProcess {
    fn run(&self, kind: HelperKind, job: HelperJob, descriptors: Vec<OwnedFd>) -> Outcome {
        let work = move || helper::perform(kind, &job, &descriptors);
        Box::pin(async move { std::thread::spawn(work).join().unwrap() })
    }
}
