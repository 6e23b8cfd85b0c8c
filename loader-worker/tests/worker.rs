//! The loader as its peers see it: a supervisor, an API worker and an image worker that the test plays, over real sockets
//! and on a real kernel.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails, also in what tests share")]

#[allow(unreachable_pub, reason = "shared by several test binaries")]
mod kernel_support;

use ipc::link::{Envelope, Receiver, Sender, establish};
use ipc::messages::Message;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::HelperKind;
use ipc::messages::image::{PlanDelivery, PlanReceipt};
use ipc::messages::loader::{LoaderReply, LoaderRequest};
use ipc::messages::program::{LoadOptions, Program, ProgramKind, ProgramRequest, Source};
use ipc::messages::supervision::{Control, SandboxReport, Status};
use ipc::role::Role;
use kernel_support::isolated;
use loader_worker::{control, helper, plan_intake};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sandbox::start::Started;
use sandbox::{Identity, Mode, WorkerArguments};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const GENERATION: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(20);

/// A link as the other side of it holds it.
struct Peer<Out, In> {
    sender: Sender<Out>,
    receiver: Receiver<In>,
}

impl<Out: Message, In: Message> Peer<Out, In> {
    async fn greet(socket: UnixStream, role: Role, generation: u32) -> Self {
        let (sender, receiver, hello) =
            establish::<In, Out>(socket.into(), role, generation, Role::Loader).await.unwrap();
        assert_eq!((hello.role, hello.generation), (Role::Loader, GENERATION));
        Self { sender, receiver }
    }

    async fn hear(&mut self) -> Envelope<In> {
        timeout(PATIENCE, self.receiver.receive()).await.unwrap().unwrap().unwrap()
    }

    async fn tell(&self, id: u64, message: Out, beside: &[OwnedFd]) {
        let beside: Vec<_> = beside.iter().map(AsFd::as_fd).collect();
        self.sender.send(id, &message, &beside).await.unwrap();
    }
}

impl Peer<LoaderRequest, LoaderReply> {
    async fn ask(&mut self, id: u64, message: LoaderRequest, beside: &[OwnedFd]) -> LoaderReply {
        self.tell(id, message, beside).await;
        let answer = self.hear().await;
        assert_eq!(answer.request_id, id);
        answer.message
    }

    async fn refused(&mut self, id: u64, message: LoaderRequest) -> Failure {
        match self.ask(id, message, &[]).await {
            LoaderReply::Failed(failure) => failure,
            other => panic!("not refused: {other:?}"),
        }
    }
}

type Api = Peer<LoaderRequest, LoaderReply>;
type Image = Peer<PlanDelivery, PlanReceipt>;

/// A loader at work, and the supervisor's end of its link.
struct World {
    directory: tempfile::TempDir,
    supervisor: Peer<Control, Status>,
    loader: JoinHandle<Result<(), control::Error>>,
    listener: UnixListener,
    clients: Vec<UnixStream>,
}

impl World {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        // Strangers must be able to come to the socket.
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(path.join("fs")).unwrap();
        mount("bpffs", path.join("fs"), "bpf", MountFlags::empty(), None).unwrap();
        let listener = UnixListener::bind(path.join("socket")).unwrap();
        fs::set_permissions(path.join("socket"), Permissions::from_mode(0o666)).unwrap();

        let (ours, theirs) = UnixStream::pair().unwrap();
        let started = Started {
            arguments: WorkerArguments {
                role: Role::Loader,
                helper: None,
                identity: Identity { uid: 0, gid: 0, groups: vec![] },
                client_gid: None,
                generation: GENERATION,
                mode: Mode::Enforce,
                runtime_dir: path.to_owned(),
                state_dir: path.join("state"),
                cache_dir: path.join("cache"),
                log: String::new(),
                read: vec![],
            },
            report: SandboxReport { pid: 77, ..SandboxReport::default() },
            control: theirs.into(),
        };
        let loader = tokio::spawn(control::serve(started));
        let mut supervisor = Peer::<Control, Status>::greet(ours, Role::Supervisor, 0).await;
        let Status::Ready(report) = supervisor.hear().await.message else { panic!("not ready first") };
        assert_eq!(report.pid, 77);
        supervisor.tell(0, Control::Activate, &[]).await;
        assert!(matches!(supervisor.hear().await.message, Status::Serving));
        Self { directory, supervisor, loader, listener, clients: Vec::new() }
    }

    fn bpffs(&self) -> PathBuf {
        self.directory.path().join("fs")
    }

    /// Connects a peer by way of the supervisor; our end of its link.
    async fn connect(&self, peer: Role, generation: u32) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.supervisor.tell(0, Control::PeerUp { peer, generation }, &[theirs.into()]).await;
        ours
    }

    async fn api(&self, generation: u32) -> Api {
        Api::greet(self.connect(Role::Api, generation).await, Role::Api, generation).await
    }

    async fn image(&self, generation: u32) -> Image {
        Image::greet(self.connect(Role::Image, generation).await, Role::Image, generation).await
    }

    /// The API worker's end of a client's connection.
    fn client(&mut self, uid: u32) -> OwnedFd {
        let path = self.directory.path().join("socket");
        self.clients.push(connect_as(uid, &path));
        self.listener.accept().unwrap().0.into()
    }

    async fn stop(mut self) {
        self.supervisor.tell(0, Control::Stop, &[]).await;
        assert!(matches!(self.supervisor.hear().await.message, Status::Drained));
        timeout(PATIENCE, self.loader).await.unwrap().unwrap().unwrap();
        unmount(self.directory.path().join("fs"), UnmountFlags::DETACH).unwrap();
    }
}

/// Connects as somebody: credentials are those of the thread at the time of connecting.
fn connect_as(uid: u32, path: &Path) -> UnixStream {
    std::thread::scope(|scope| {
        let connect = || {
            if uid != 0 {
                let uid = rustix::process::Uid::from_raw(uid);
                rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            }
            UnixStream::connect(path).unwrap()
        };
        scope.spawn(connect).join().unwrap()
    })
}

fn with_world<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    isolated(move |_| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    });
}

fn options(change: impl FnOnce(&mut LoadOptions)) -> LoadOptions {
    let mut options = LoadOptions {
        programs: vec![ProgramRequest {
            name: "tracepoint_count".into(),
            kind: ProgramKind::Tracepoint,
            attach_function: None,
        }],
        metadata: BTreeMap::new(),
        globals: vec![],
        map_owner: None,
        maps_mode: None,
        maps_group: None,
        source: Source::File("counter.o".into()),
    };
    change(&mut options);
    options
}

/// What the image worker says about the object that all tests here load.
fn plan(ticket: u64) -> (PlanDelivery, OwnedFd) {
    let plan = kernel_support::plan(bpf::COUNTER, &[("tracepoint_count", ProgramKind::Tracepoint)]);
    let bytes = ipc::codec::encode(&plan, ipc::limits::PLAN_BYTES).unwrap();
    let memfd = memfd_create("plan", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
    let mut file = fs::File::from(memfd);
    file.write_all(&bytes).unwrap();
    let memfd = OwnedFd::from(file);
    fcntl_add_seals(&memfd, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).unwrap();
    let digest = plan_intake::digest(&bytes);
    (PlanDelivery::Plan { ticket, length: bytes.len() as u64, digest }, memfd)
}

async fn deliver(image: &Image, ticket: u64) {
    let (message, memfd) = plan(ticket);
    image.tell(0, message, &[memfd]).await;
}

fn loaded(reply: LoaderReply) -> Program {
    match reply {
        LoaderReply::Loaded(mut programs) => programs.remove(0),
        other => panic!("not loaded: {other:?}"),
    }
}

const SESSION: u64 = 1;

async fn open(world: &mut World, api: &mut Api, session: u64, uid: u32) {
    let client = world.client(uid);
    let opened = api.ask(900 + session, LoaderRequest::OpenSession { session }, &[client]).await;
    assert_eq!(opened, LoaderReply::Done);
}

#[test]
fn a_load_is_joined_with_its_plan_in_either_order() {
    with_world(async || {
        let mut world = World::start().await;
        let (mut api, image) = (world.api(1).await, world.image(1).await);
        open(&mut world, &mut api, SESSION, 0).await;

        let load = |ticket| LoaderRequest::Load { session: SESSION, ticket, options: options(|_| {}) };
        api.tell(1, load(5), &[]).await;
        deliver(&image, 5).await;
        let first = api.hear().await;
        assert_eq!(first.request_id, 1);
        let first = loaded(first.message).record.program_id;

        deliver(&image, 6).await;
        let second = loaded(api.ask(2, load(6), &[]).await).record.program_id;

        let list = api.ask(3, LoaderRequest::ListPrograms { session: SESSION }, &[]).await;
        let LoaderReply::Programs(programs) = list else { panic!("no list: {list:?}") };
        assert_eq!(programs.iter().map(|entry| entry.record.program_id).collect::<Vec<_>>(), [first, second]);
        for (id, program_id) in [(4, first), (5, second)] {
            let unload = LoaderRequest::Unload { session: SESSION, program_id };
            assert_eq!(api.ask(id, unload, &[]).await, LoaderReply::Done);
        }
        world.stop().await;
    });
}

#[test]
fn loads_whose_plan_will_not_come_are_failed() {
    with_world(async || {
        let mut world = World::start().await;
        let (mut api, image) = (world.api(1).await, world.image(1).await);
        open(&mut world, &mut api, SESSION, 0).await;
        let load = |ticket| LoaderRequest::Load { session: SESSION, ticket, options: options(|_| {}) };

        let reason = Failure::new(FailureCode::InvalidArgument, Stage::Object, "not an ELF file");
        api.tell(1, load(1), &[]).await;
        image.tell(0, PlanDelivery::NoPlan { ticket: 1, failure: reason.clone() }, &[]).await;
        assert_eq!(api.hear().await.message, LoaderReply::Failed(reason));

        api.tell(2, load(2), &[]).await;
        api.tell(0, LoaderRequest::CancelLoad { ticket: 2 }, &[]).await;
        let LoaderReply::Failed(failure) = api.hear().await.message else { panic!("not failed") };
        assert!(failure.is_retryable(), "{failure}");

        api.tell(3, load(3), &[]).await;
        // Answered, hence the load before it was read.
        api.ask(4, LoaderRequest::ListLinks { session: SESSION }, &[]).await;
        world.supervisor.tell(0, Control::PeerDown { peer: Role::Image, generation: 1 }, &[]).await;
        let LoaderReply::Failed(failure) = api.hear().await.message else { panic!("not failed") };
        assert!(failure.is_retryable(), "{failure}");

        // Its successor serves.
        let image = world.image(2).await;
        deliver(&image, 4).await;
        let program_id = loaded(api.ask(5, load(4), &[]).await).record.program_id;
        assert_eq!(api.ask(6, LoaderRequest::Unload { session: SESSION, program_id }, &[]).await, LoaderReply::Done);
        world.stop().await;
    });
}

#[test]
fn strangers_and_unknown_sessions_are_refused() {
    with_world(async || {
        let mut world = World::start().await;
        let mut api = world.api(1).await;
        let unknown = api.refused(1, LoaderRequest::ListPrograms { session: 9 }).await;
        assert!(unknown.is_retryable(), "{unknown}");

        open(&mut world, &mut api, 2, 12345).await;
        let requests = [
            LoaderRequest::ListPrograms { session: 2 },
            LoaderRequest::Unload { session: 2, program_id: 1 },
            LoaderRequest::Detach { session: 2, link_id: 1 },
            LoaderRequest::Load { session: 2, ticket: 1, options: options(|_| {}) },
        ];
        for request in requests {
            let failure = api.refused(2, request).await;
            assert_eq!(failure.code, FailureCode::PermissionDenied);
            assert!(failure.cause.contains("uid 12345"), "{failure}");
        }

        // Sockets that do not come from a listening socket name nobody.
        let (pair, _other) = UnixStream::pair().unwrap();
        let opened = api.ask(3, LoaderRequest::OpenSession { session: 3 }, &[pair.into()]).await;
        let LoaderReply::Failed(failure) = opened else { panic!("opened") };
        assert_eq!(failure.code, FailureCode::PermissionDenied);

        // A new incarnation of the API worker knows nothing of the sessions of the old one.
        open(&mut world, &mut api, SESSION, 0).await;
        let mut api = world.api(2).await;
        let forgotten = api.refused(1, LoaderRequest::ListPrograms { session: SESSION }).await;
        assert!(forgotten.is_retryable(), "{forgotten}");
        world.stop().await;
    });
}

#[test]
fn the_group_of_map_pins_is_changed_by_a_helper() {
    with_world(async || {
        let mut world = World::start().await;
        let (mut api, image) = (world.api(1).await, world.image(1).await);
        open(&mut world, &mut api, SESSION, 0).await;
        let load = |ticket| LoaderRequest::Load {
            session: SESSION,
            ticket,
            options: options(|options| options.maps_group = Some(4242)),
        };

        deliver(&image, 1).await;
        api.tell(1, load(1), &[]).await;
        let asked = world.supervisor.hear().await;
        assert_eq!(asked.message, Status::StartHelper { kind: HelperKind::ChangeGroup });
        let (theirs, ours) = UnixStream::pair().unwrap();
        let helper = std::thread::spawn(|| helper::serve(theirs, 9, HelperKind::ChangeGroup));
        world.supervisor.tell(asked.request_id, Control::HelperStarted, &[ours.into()]).await;
        let program = loaded(api.hear().await.message).record;
        helper.join().unwrap().unwrap();
        let pin = fs::read_dir(&program.maps_dir).unwrap().next().unwrap().unwrap();
        assert_eq!(pin.metadata().unwrap().gid(), 4242);
        let unload = LoaderRequest::Unload { session: SESSION, program_id: program.program_id };
        assert_eq!(api.ask(2, unload, &[]).await, LoaderReply::Done);

        deliver(&image, 2).await;
        api.tell(3, load(2), &[]).await;
        let asked = world.supervisor.hear().await;
        let refusal = Control::HelperRefused { reason: "no more of them".into() };
        world.supervisor.tell(asked.request_id, refusal, &[]).await;
        let LoaderReply::Failed(failure) = api.hear().await.message else { panic!("loaded") };
        assert!(failure.cause.contains("no more of them"), "{failure}");
        let left = fs::read_dir(world.bpffs().join("maps")).unwrap().count();
        assert_eq!(left, 0, "nothing of the failed load is left");
        world.stop().await;
    });
}

#[test]
fn a_peer_that_breaks_the_protocol_is_reported_and_dropped() {
    with_world(async || {
        let mut world = World::start().await;
        let mut image = world.image(3).await;
        let mut socket = world.connect(Role::Api, 7).await;
        socket.write_all(&[0xa5; 256]).unwrap();
        let Status::PeerFault { peer, generation, .. } = world.supervisor.hear().await.message else {
            panic!("no fault was reported");
        };
        assert_eq!((peer, generation), (Role::Api, 7));

        // The other peer is unharmed, and so is a successor.
        let mut api = world.api(8).await;
        open(&mut world, &mut api, SESSION, 0).await;
        deliver(&image, 1).await;
        let load = LoaderRequest::Load { session: SESSION, ticket: 1, options: options(|_| {}) };
        let program_id = loaded(api.ask(1, load, &[]).await).record.program_id;
        assert_eq!(api.ask(2, LoaderRequest::Unload { session: SESSION, program_id }, &[]).await, LoaderReply::Done);
        world.stop().await;
        assert!(image.receiver.receive().await.unwrap().is_none(), "its link is closed at the end");
    });
}

#[test]
fn a_plan_that_was_changed_on_the_way_is_refused() {
    with_world(async || {
        let mut world = World::start().await;
        let (mut api, image) = (world.api(1).await, world.image(1).await);
        open(&mut world, &mut api, SESSION, 0).await;
        let (message, memfd) = plan(1);
        let PlanDelivery::Plan { ticket, length, mut digest } = message else { panic!("not a plan") };
        digest[5] ^= 1;
        image.tell(0, PlanDelivery::Plan { ticket, length, digest }, &[memfd]).await;
        let load = LoaderRequest::Load { session: SESSION, ticket, options: options(|_| {}) };
        let failure = api.refused(1, load).await;
        assert!(failure.cause.contains("digest"), "{failure}");

        // A plan for another program than the one that was asked for.
        deliver(&image, 2).await;
        let options = options(|options| options.programs[0].name = "xdp_count".into());
        let failure = api.refused(2, LoaderRequest::Load { session: SESSION, ticket: 2, options }).await;
        assert!(failure.cause.contains("not for the programs"), "{failure}");
        world.stop().await;
    });
}
