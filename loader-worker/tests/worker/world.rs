//! A loader in this process and everybody whom it talks to, played by the test.

use crate::kernel_support::{self, isolated};
use ipc::link::{Envelope, Receiver, Sender, establish};
use ipc::messages::Message;
use ipc::messages::failure::Failure;
use ipc::messages::image::{PlanDelivery, PlanReceipt};
use ipc::messages::loader::{LoaderReply, LoaderRequest};
use ipc::messages::program::{LoadOptions, Program, ProgramKind, ProgramRequest, Source};
use ipc::messages::supervision::{Control, SandboxReport, Status};
use ipc::role::Role;
use loader_worker::{control, plan_intake};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sandbox::start::Started;
use sandbox::{Identity, Mode, WorkerArguments};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const GENERATION: u32 = 4;
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A link as the other side of it holds it.
pub(crate) struct Peer<Out, In> {
    pub(crate) sender: Sender<Out>,
    pub(crate) receiver: Receiver<In>,
}

impl<Out: Message, In: Message> Peer<Out, In> {
    pub(crate) async fn greet(socket: UnixStream, role: Role, generation: u32) -> Self {
        let (sender, receiver, hello) =
            establish::<In, Out>(socket.into(), role, generation, Role::Loader)
                .await
                .unwrap();
        assert_eq!((hello.role, hello.generation), (Role::Loader, GENERATION));
        Self { sender, receiver }
    }

    pub(crate) async fn hear(&mut self) -> Envelope<In> {
        timeout(PATIENCE, self.receiver.receive())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }

    pub(crate) async fn tell(&self, id: u64, message: Out, beside: &[OwnedFd]) {
        let beside: Vec<_> = beside.iter().map(AsFd::as_fd).collect();
        self.sender.send(id, &message, &beside).await.unwrap();
    }
}

impl Peer<LoaderRequest, LoaderReply> {
    pub(crate) async fn ask(
        &mut self,
        id: u64,
        message: LoaderRequest,
        beside: &[OwnedFd],
    ) -> LoaderReply {
        self.tell(id, message, beside).await;
        let answer = self.hear().await;
        assert_eq!(answer.request_id, id);
        answer.message
    }

    pub(crate) async fn refused(&mut self, id: u64, message: LoaderRequest) -> Failure {
        match self.ask(id, message, &[]).await {
            LoaderReply::Failed(failure) => failure,
            other => panic!("not refused: {other:?}"),
        }
    }
}

pub(crate) type Api = Peer<LoaderRequest, LoaderReply>;
pub(crate) type Image = Peer<PlanDelivery, PlanReceipt>;

/// A loader at work, and the supervisor's end of its link.
pub(crate) struct World {
    directory: tempfile::TempDir,
    pub(crate) supervisor: Peer<Control, Status>,
    loader: JoinHandle<Result<(), control::Error>>,
    listener: UnixListener,
    clients: Vec<UnixStream>,
}

impl World {
    pub(crate) async fn start() -> Self {
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
                identity: Identity {
                    uid: 0,
                    gid: 0,
                    groups: vec![],
                },
                client_gid: None,
                generation: GENERATION,
                mode: Mode::Enforce,
                runtime_dir: path.to_owned(),
                state_dir: path.join("state"),
                cache_dir: path.join("cache"),
                log: String::new(),
                kubelet_dir: None,
                read: vec![],
            },
            report: SandboxReport {
                pid: 77,
                ..SandboxReport::default()
            },
            control: theirs.into(),
        };
        let loader = tokio::spawn(control::serve(started));
        let mut supervisor =
            Peer::<Control, Status>::greet(ours, Role::Supervisor, GENERATION).await;
        let Status::Ready(report) = supervisor.hear().await.message else {
            panic!("not ready first")
        };
        assert_eq!(report.pid, 77);
        supervisor.tell(0, Control::Activate, &[]).await;
        assert!(matches!(supervisor.hear().await.message, Status::Serving));
        Self {
            directory,
            supervisor,
            loader,
            listener,
            clients: Vec::new(),
        }
    }

    pub(crate) fn bpffs(&self) -> PathBuf {
        self.directory.path().join("fs")
    }

    /// Connects a peer by way of the supervisor; our end of its link.
    pub(crate) async fn connect(&self, peer: Role, generation: u32) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.supervisor
            .tell(0, Control::PeerUp { peer, generation }, &[theirs.into()])
            .await;
        ours
    }

    pub(crate) async fn api(&self, generation: u32) -> Api {
        Api::greet(
            self.connect(Role::Api, generation).await,
            Role::Api,
            generation,
        )
        .await
    }

    pub(crate) async fn image(&self, generation: u32) -> Image {
        Image::greet(
            self.connect(Role::Image, generation).await,
            Role::Image,
            generation,
        )
        .await
    }

    /// The API worker's end of a client's connection.
    pub(crate) fn client(&mut self, uid: u32) -> OwnedFd {
        let path = self.directory.path().join("socket");
        self.clients.push(connect_as(uid, &path));
        self.listener.accept().unwrap().0.into()
    }

    pub(crate) async fn stop(mut self) {
        self.supervisor.tell(0, Control::Stop, &[]).await;
        assert!(matches!(
            self.supervisor.hear().await.message,
            Status::Drained
        ));
        timeout(PATIENCE, self.loader)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        unmount(self.directory.path().join("fs"), UnmountFlags::DETACH).unwrap();
    }
}

/// Connects as somebody: credentials are those of the thread at the time of connecting.
pub(crate) fn connect_as(uid: u32, path: &Path) -> UnixStream {
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

pub(crate) fn with_world<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    isolated(move |_| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test());
    });
}

pub(crate) fn options(change: impl FnOnce(&mut LoadOptions)) -> LoadOptions {
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
pub(crate) fn plan(ticket: u64) -> (PlanDelivery, OwnedFd) {
    let plan = kernel_support::plan(
        bpf::COUNTER,
        &[("tracepoint_count", ProgramKind::Tracepoint)],
    );
    let bytes = ipc::codec::encode(&plan, ipc::limits::PLAN_BYTES).unwrap();
    let memfd = memfd_create("plan", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
    let mut file = fs::File::from(memfd);
    file.write_all(&bytes).unwrap();
    let memfd = OwnedFd::from(file);
    fcntl_add_seals(
        &memfd,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )
    .unwrap();
    let digest = plan_intake::digest(&bytes);
    (
        PlanDelivery::Plan {
            ticket,
            length: bytes.len() as u64,
            digest,
        },
        memfd,
    )
}

pub(crate) async fn deliver(image: &Image, ticket: u64) {
    let (message, memfd) = plan(ticket);
    image.tell(0, message, &[memfd]).await;
}

pub(crate) fn loaded(reply: LoaderReply) -> Program {
    match reply {
        LoaderReply::Loaded(mut programs) => programs.remove(0),
        other => panic!("not loaded: {other:?}"),
    }
}

pub(crate) const SESSION: u64 = 1;

pub(crate) async fn open(world: &mut World, api: &mut Api, session: u64, uid: u32) {
    let client = world.client(uid);
    let opened = api
        .ask(
            900 + session,
            LoaderRequest::OpenSession { session },
            &[client],
        )
        .await;
    assert_eq!(opened, LoaderReply::Done);
}
