//! The worker's actors between a supervisor, an API worker and a loader that the test plays.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use image_worker::conductor::{Arguments, Conductor};
use ipc::build;
use ipc::codec;
use ipc::frame::Header;
use ipc::limits::FRAME_DEADLINE;
use ipc::link::{self, Receiver, Sender};
use ipc::messages::Message;
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::hello::Hello;
use ipc::messages::image::{ImageReply, ImageRequest, PlanDelivery, PlanReceipt};
use ipc::messages::program::{ProgramKind, ProgramRequest};
use ipc::messages::supervision::{Control, Status};
use ipc::plan::LoadPlan;
use ipc::role::Role;
use ractor::Actor as _;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const GENERATION: u32 = 3;

fn pair() -> (OwnedFd, OwnedFd) {
    let (left, right) = UnixStream::pair().expect("sockets");
    (left.into(), right.into())
}

struct Link<In, Out> {
    sender: Sender<Out>,
    receiver: Receiver<In>,
    number: u64,
}

impl<In: Message, Out: Message> Link<In, Out> {
    async fn to_image(socket: OwnedFd, role: Role, generation: u32) -> Self {
        let (sender, receiver, hello) = link::establish(socket, role, generation, Role::Image)
            .await
            .expect("a link");
        assert_eq!((hello.role, hello.generation), (Role::Image, GENERATION));
        Self {
            sender,
            receiver,
            number: 0,
        }
    }

    async fn tell(&mut self, message: &Out, descriptors: &[std::os::fd::BorrowedFd<'_>]) {
        self.number += 1;
        self.sender
            .send(self.number, message, descriptors)
            .await
            .expect("sent");
    }

    async fn hear(&mut self) -> (u64, In, Vec<OwnedFd>) {
        let envelope = timeout(FRAME_DEADLINE, self.receiver.receive())
            .await
            .expect("in time");
        let envelope = envelope.expect("a proper frame").expect("not closed");
        (envelope.request_id, envelope.message, envelope.descriptors)
    }
}

type Supervisor = Link<Status, Control>;
type Api = Link<ImageReply, ImageRequest>;
type Loader = Link<PlanDelivery, PlanReceipt>;

/// A worker that serves, and its supervisor.
async fn start() -> (Supervisor, JoinHandle<()>) {
    let (ours, theirs) = pair();
    let worker = tokio::spawn(link::establish::<Control, Status>(
        theirs,
        Role::Image,
        GENERATION,
        Role::Supervisor,
    ));
    let mut supervisor = Supervisor::to_image(ours, Role::Supervisor, GENERATION).await;
    let (sender, receiver, _) = worker.await.expect("no panic").expect("a link");
    let cache = tempfile::tempdir().expect("a directory");
    let arguments = Arguments {
        generation: GENERATION,
        sender,
        receiver,
        cache_dir: cache.path().to_owned(),
    };
    let (_, life) = Conductor::spawn(None, Conductor, arguments)
        .await
        .expect("started");
    let life = tokio::spawn(async move {
        life.await.expect("no panic");
        drop(cache);
    });
    supervisor.tell(&Control::Activate, &[]).await;
    assert_eq!(supervisor.hear().await.1, Status::Serving);
    (supervisor, life)
}

async fn connect<In: Message, Out: Message>(
    supervisor: &mut Supervisor,
    peer: Role,
    generation: u32,
) -> Link<In, Out> {
    let (ours, theirs) = pair();
    supervisor
        .tell(&Control::PeerUp { peer, generation }, &[theirs.as_fd()])
        .await;
    drop(theirs);
    Link::to_image(ours, peer, generation).await
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    file
}

fn compile(ticket: u64, program: &str) -> ImageRequest {
    let program = ProgramRequest {
        name: program.into(),
        kind: ProgramKind::Xdp,
        attach_function: None,
    };
    ImageRequest::Compile {
        ticket,
        programs: vec![program],
        globals: vec![],
        types: Vec::new(),
    }
}

#[tokio::test]
async fn plans_go_to_the_loader_and_answers_to_the_api_worker() {
    let (mut supervisor, life) = start().await;
    let mut loader: Loader = connect(&mut supervisor, Role::Loader, 1).await;
    let mut api: Api = connect(&mut supervisor, Role::Api, 1).await;

    let object = file_of(bpf::COUNTER);
    api.tell(&compile(11, "xdp_count"), &[object.as_fd()]).await;
    let (_, delivery, mut descriptors) = loader.hear().await;
    let PlanDelivery::Plan {
        ticket: 11,
        length,
        digest,
    } = delivery
    else {
        panic!("no plan but {delivery:?}");
    };
    let mut bytes = Vec::new();
    let mut memory = File::from(descriptors.pop().expect("a memfd"));
    memory.rewind().expect("a beginning");
    memory.read_to_end(&mut bytes).expect("readable");
    assert_eq!(
        (bytes.len() as u64, <[u8; 32]>::from(Sha256::digest(&bytes))),
        (length, digest)
    );
    let plan: LoadPlan = codec::decode(&bytes).expect("a plan");
    assert_eq!(plan.programs[0].name, "xdp_count");
    let (request, reply, _) = api.hear().await;
    assert_eq!((request, reply), (1, ImageReply::Delivered));

    api.tell(&compile(12, "no_such_program"), &[object.as_fd()])
        .await;
    let (_, delivery, _) = loader.hear().await;
    let PlanDelivery::NoPlan {
        ticket: 12,
        failure,
    } = delivery
    else {
        panic!("a plan: {delivery:?}");
    };
    assert_eq!(failure.code, FailureCode::NotFound);
    assert_eq!(api.hear().await.1, ImageReply::Delivered);

    let library = File::open("/proc/self/exe").expect("this program");
    let query = |function: &str| ImageRequest::ResolveSymbol {
        target: "self".into(),
        function: function.into(),
        offset: 0,
    };
    api.tell(&query("main"), &[library.as_fd()]).await;
    assert!(matches!(
        api.hear().await.1,
        ImageReply::Symbol { file_offset: 1.. }
    ));
    api.tell(&query("no such function"), &[library.as_fd()])
        .await;
    let ImageReply::Failed(Failure {
        code: FailureCode::NotFound,
        ..
    }) = api.hear().await.1
    else {
        panic!("found");
    };

    supervisor.tell(&Control::Stop, &[]).await;
    assert_eq!(supervisor.hear().await.1, Status::Drained);
    timeout(FRAME_DEADLINE, life)
        .await
        .expect("ends")
        .expect("no panic");
}

#[tokio::test]
async fn a_request_waits_for_a_loader_and_goes_to_the_living_one() {
    let (mut supervisor, _life) = start().await;
    let mut api: Api = connect(&mut supervisor, Role::Api, 1).await;
    let object = file_of(bpf::COUNTER);
    api.tell(&compile(1, "xdp_count"), &[object.as_fd()]).await;
    match api.hear().await.1 {
        ImageReply::Failed(failure) => {
            assert!(failure.is_retryable());
            assert!(!failure.remedy.is_empty());
        }
        reply => panic!("no loader for too long: {reply:?}"),
    }

    // Asked before the loader is there.
    api.tell(&compile(2, "xdp_count"), &[object.as_fd()]).await;
    let mut first: Loader = connect(&mut supervisor, Role::Loader, 1).await;
    assert_eq!(api.hear().await.1, ImageReply::Delivered);
    assert!(matches!(
        first.hear().await.1,
        PlanDelivery::Plan { ticket: 2, .. }
    ));

    // Dead, whether the worker has heard of it or not, and its successor is not up yet.
    drop(first);
    api.tell(&compile(3, "xdp_count"), &[object.as_fd()]).await;
    let mut second: Loader = connect(&mut supervisor, Role::Loader, 2).await;
    // The word about a former incarnation does not touch the present one.
    let down = Control::PeerDown {
        peer: Role::Loader,
        generation: 1,
    };
    supervisor.tell(&down, &[]).await;
    assert_eq!(api.hear().await.1, ImageReply::Delivered);
    assert!(matches!(
        second.hear().await.1,
        PlanDelivery::Plan { ticket: 3, .. }
    ));
    api.tell(&compile(4, "no_such_program"), &[object.as_fd()])
        .await;
    assert_eq!(api.hear().await.1, ImageReply::Delivered);
    assert!(matches!(
        second.hear().await.1,
        PlanDelivery::NoPlan { ticket: 4, .. }
    ));
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_reported() {
    let (mut supervisor, _life) = start().await;
    let greeting = |generation: u32, build_id: &str| {
        let hello = Hello {
            build_id: build_id.to_owned(),
            ..Hello::new(Role::Api, generation)
        };
        let body = codec::encode(&ImageRequest::Hello(hello), 4096).expect("fits its row");
        let mut header = Header::new(0, 0, generation);
        header.length = u32::try_from(body.len()).expect("short");
        [header.encode().to_vec(), body].concat()
    };
    for (bytes, what) in [
        (vec![0xff; 64], "not a bpfman frame"),
        (
            greeting(6, build::BUILD_ID),
            "generation 6 on a link with generation 7",
        ),
        (greeting(7, &"x".repeat(4070)), "build xxx"),
    ] {
        let (ours, theirs) = pair();
        let up = Control::PeerUp {
            peer: Role::Api,
            generation: 7,
        };
        supervisor.tell(&up, &[theirs.as_fd()]).await;
        let mut socket = UnixStream::from(ours);
        socket.write_all(&bytes).expect("written");
        match supervisor.hear().await.1 {
            Status::PeerFault {
                peer: Role::Api,
                generation: 7,
                fault,
            } => assert!(fault.contains(what), "{fault}"),
            status => panic!("{what}: {status:?}"),
        }
    }
    // The worker itself goes on.
    let _loader: Loader = connect(&mut supervisor, Role::Loader, 1).await;
}

#[tokio::test]
async fn the_worker_ends_with_its_supervisor() {
    let (supervisor, life) = start().await;
    drop(supervisor);
    timeout(FRAME_DEADLINE, life)
        .await
        .expect("ends")
        .expect("no panic");
}
