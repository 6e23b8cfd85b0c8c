//! Arbitrary bytes on a socket, as the API worker (from a client) and the loader (from the API worker) would read them.
//!
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz frames`
#![no_main]

use ipc::blocking::Link;
use ipc::messages::Message;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::hello::Hello;
use ipc::messages::loader::{LoaderReply, LoaderRequest};
use ipc::role::Role;
use libfuzzer_sys::fuzz_target;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(5);

/// What `from` sends to `to`: the bytes alone, and the bytes after a proper greeting.
fn read<In: Message, Out: Message>(from: Role, to: Role, greeting: &[u8], bytes: &[u8]) {
    for prefix in [&[][..], greeting] {
        let Ok((mut peer, socket)) = UnixStream::pair() else { return };
        // More than fits into the socket's buffer would need a second thread and finds nothing else.
        let bytes = &bytes[..bytes.len().min(64 * 1024)];
        if peer.write_all(prefix).and_then(|()| peer.write_all(bytes)).is_err() || peer.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let Ok((mut link, _)) = Link::<In, Out>::establish(socket, to, 1, from, DEADLINE) else { continue };
        while let Ok(Some(_)) = link.receive(DEADLINE) {}
    }
}

fn greeting<M: Message>(role: Role) -> Vec<u8> {
    let body = ipc::codec::encode(&M::from(Hello::new(role, 1)), 4096).expect("a greeting is small");
    let mut header = ipc::frame::Header::new(0, 0, 1);
    header.length = u32::try_from(body.len()).expect("a greeting is small");
    [&header.encode()[..], &body].concat()
}

fuzz_target!(|bytes: &[u8]| {
    read::<ClientRequest, ClientReply>(Role::Client, Role::Api, &greeting::<ClientRequest>(Role::Client), bytes);
    read::<LoaderRequest, LoaderReply>(Role::Api, Role::Loader, &greeting::<LoaderRequest>(Role::Api), bytes);
});
