//! A client that keeps no rule: bytes straight into the socket.

use crate::wait;
use ipc::frame::{HEADER_BYTES, Header};
use ipc::messages::Message;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::failure::{FailureCode, Stage};
use ipc::messages::hello::Hello;
use ipc::role::Role;
use ipc::{codec, descriptors, limits};
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A raw connection.
#[derive(Debug)]
pub struct Raw(UnixStream);

impl Raw {
    /// Connects without a word.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("connect");
        let bound = (limits::FRAME_DEADLINE + Duration::from_secs(5)) * wait::slowness();
        stream.set_read_timeout(Some(bound)).expect("a timeout");
        stream.set_write_timeout(Some(bound)).expect("a timeout");
        Self(stream)
    }

    /// Connects and exchanges greetings.
    pub fn greeted(socket: &Path) -> Self {
        let mut raw = Self::connect(socket);
        raw.send(&frame(
            0,
            &ClientRequest::Hello(Hello::new(Role::Client, 0)),
        ));
        let reply = raw.reply().expect("a greeting");
        assert!(
            matches!(reply, ClientReply::Hello(_)),
            "greeted with {reply:?}"
        );
        raw
    }

    /// Sends bytes; a peer that has closed already is what some tests want.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends bytes with descriptors beside the first.
    pub fn send_with(&mut self, bytes: &[u8], beside: &[BorrowedFd<'_>]) -> bool {
        descriptors::send(self.0.as_fd(), &[IoSlice::new(bytes)], beside)
            .is_ok_and(|sent| sent == bytes.len())
    }

    /// The next answer, or `None` when the connection was closed.
    pub fn reply(&mut self) -> Option<ClientReply> {
        self.answer().map(|(_, reply)| reply)
    }

    /// The next answer with the number of the request that it belongs to.
    fn answer(&mut self) -> Option<(u64, ClientReply)> {
        let mut header = [0; HEADER_BYTES];
        self.0.read_exact(&mut header).ok()?;
        let header = Header::decode(&header).expect("a header from the service");
        let mut body = vec![0; header.length as usize];
        self.0.read_exact(&mut body).ok()?;
        let reply = codec::decode(&body).expect("an answer from the service");
        Some((header.request_id, reply))
    }

    /// The service says what the client did wrong, under the number of no request, and ends the connection.
    #[track_caller]
    pub fn assert_refused(mut self, after: &str, cause: &str) {
        let mut last = None;
        while let Some(answer) = self.answer() {
            last = Some(answer);
        }
        self.assert_dropped(after);
        let Some((0, ClientReply::Failed(failure))) = last else {
            panic!("the last word after {after} was {last:?}");
        };
        assert_eq!(
            (failure.code, failure.stage),
            (FailureCode::InvalidArgument, Stage::Request),
            "{after}: {failure}"
        );
        assert!(failure.cause.contains(cause), "{after}: {failure}");
        assert!(
            failure.remedy.contains("the connection is closed"),
            "{after}: {failure}"
        );
    }

    /// The connection is ended by the service within the frame deadline, whatever it says before.
    #[track_caller]
    pub fn assert_dropped(mut self, after: &str) {
        let mut rest = [0; 4096];
        loop {
            match self.0.read(&mut rest) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
                Err(error) => panic!("the connection is still open after {after}: {error}"),
            }
        }
    }
}

/// A correct frame.
pub fn frame(request_id: u64, request: &ClientRequest) -> Vec<u8> {
    let body = codec::encode(request, limits::FRAME_BYTES as usize).expect("encoding");
    raw_frame(request.kind(), request_id, 0, &body)
}

/// A frame of any kind with any body.
pub fn raw_frame(kind: u16, request_id: u64, descriptors: u8, body: &[u8]) -> Vec<u8> {
    let mut header = Header::new(kind, request_id, 0);
    header.length = u32::try_from(body.len()).expect("a length");
    header.descriptors = descriptors;
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(body);
    bytes
}
