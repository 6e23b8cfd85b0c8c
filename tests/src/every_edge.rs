//! Arbitrary bytes as each process would read them from each of its peers: what the fuzz target calls, kept here so that every
//! build compiles it and a test runs it.

use ipc::blocking::Link;
use ipc::codec;
use ipc::frame::Header;
use ipc::messages::Message;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::hello::Hello;
use ipc::messages::helper::{HelperJob, HelperResult};
use ipc::messages::image::{ImageReply, ImageRequest, PlanDelivery, PlanReceipt};
use ipc::messages::loader::{LoaderReply, LoaderRequest};
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The other end has been closed when it is read, so nothing waits this long.
const DEADLINE: Duration = Duration::from_secs(5);

/// Sender, receiver, and how the receiver reads.
pub type Edge = (Role, Role, fn(Role, Role, &[u8]));

/// Every pair of processes that talks, in each direction.
pub const EDGES: [Edge; 16] = [
    (Role::Supervisor, Role::Loader, read_as::<Control, Status>),
    (Role::Supervisor, Role::Image, read_as::<Control, Status>),
    (Role::Supervisor, Role::Api, read_as::<Control, Status>),
    (Role::Loader, Role::Supervisor, read_as::<Status, Control>),
    (Role::Image, Role::Supervisor, read_as::<Status, Control>),
    (Role::Api, Role::Supervisor, read_as::<Status, Control>),
    (
        Role::Client,
        Role::Api,
        read_as::<ClientRequest, ClientReply>,
    ),
    (
        Role::Api,
        Role::Client,
        read_as::<ClientReply, ClientRequest>,
    ),
    (
        Role::Api,
        Role::Loader,
        read_as::<LoaderRequest, LoaderReply>,
    ),
    (
        Role::Loader,
        Role::Api,
        read_as::<LoaderReply, LoaderRequest>,
    ),
    (Role::Api, Role::Image, read_as::<ImageRequest, ImageReply>),
    (Role::Image, Role::Api, read_as::<ImageReply, ImageRequest>),
    (
        Role::Image,
        Role::Loader,
        read_as::<PlanDelivery, PlanReceipt>,
    ),
    (
        Role::Loader,
        Role::Image,
        read_as::<PlanReceipt, PlanDelivery>,
    ),
    (
        Role::Loader,
        Role::Helper,
        read_as::<HelperJob, HelperResult>,
    ),
    (
        Role::Helper,
        Role::Loader,
        read_as::<HelperResult, HelperJob>,
    ),
];

/// Reads the bytes on every edge.
pub fn read(bytes: &[u8]) {
    for (from, to, read) in EDGES {
        read(from, to, bytes);
    }
}

/// What `from` sends to `to`: the bytes alone, and the bytes after a proper greeting.
fn read_as<In: Message, Out: Message>(from: Role, to: Role, bytes: &[u8]) {
    // More than fits into the socket's buffer would need a second thread and finds nothing else.
    let bytes = &bytes[..bytes.len().min(64 * 1024)];
    for prefix in [Vec::new(), greeting::<In>(from)] {
        let Ok((mut peer, socket)) = UnixStream::pair() else {
            return;
        };
        let written = peer.write_all(&prefix).and_then(|()| peer.write_all(bytes));
        if written.is_err() || peer.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let Ok((mut link, _)) = Link::<In, Out>::establish(socket, to, 1, from, DEADLINE) else {
            continue;
        };
        while let Ok(Some(_)) = link.receive(DEADLINE) {}
    }
}

fn greeting<M: Message>(role: Role) -> Vec<u8> {
    let hello = M::from(Hello::new(role, 1));
    let Ok(body) = codec::encode(&hello, 4096) else {
        return Vec::new();
    };
    let mut header = Header::new(hello.kind(), 0, 1);
    header.length = u32::try_from(body.len()).unwrap_or_default();
    [&header.encode()[..], &body].concat()
}
