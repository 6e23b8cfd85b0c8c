//! A service that answers as a test says: a thread that speaks the protocol over a socket in a temporary directory.

use ipc::blocking::Link;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::role::Role;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(5);

/// What the service does about a request.
pub(crate) enum Answer {
    Reply(ClientReply),
    /// A reply to another request.
    Misplaced(ClientReply),
    /// The worker dies.
    HangUp,
}

impl From<ClientReply> for Answer {
    fn from(reply: ClientReply) -> Self {
        Answer::Reply(reply)
    }
}

/// A running service and what it was asked.
pub(crate) struct Service {
    directory: TempDir,
    requests: Arc<Mutex<Vec<ClientRequest>>>,
}

impl Service {
    /// Answers every request as the function says, which gets the request's number, from 0.
    pub(crate) fn start<A: Into<Answer>>(
        mut answer: impl FnMut(usize, &ClientRequest, Vec<OwnedFd>) -> A + Send + 'static,
    ) -> Self {
        Self::start_raw(move |stream, requests| {
            let Ok((mut link, hello)) = Link::<ClientRequest, ClientReply>::establish(
                stream,
                Role::Api,
                1,
                Role::Client,
                DEADLINE,
            ) else {
                return;
            };
            assert_eq!(hello.generation, 0);
            while let Ok(Some(envelope)) = link.receive(DEADLINE) {
                let number = requests.lock().unwrap().len();
                requests.lock().unwrap().push(envelope.message.clone());
                let answer = answer(number, &envelope.message, envelope.descriptors).into();
                let (id, reply) = match answer {
                    Answer::Reply(reply) => (envelope.request_id, reply),
                    Answer::Misplaced(reply) => (envelope.request_id + 1, reply),
                    Answer::HangUp => return,
                };
                link.send(id, &reply, &[]).unwrap();
            }
        })
    }

    /// Handles every connection as the function says.
    pub(crate) fn start_raw(
        mut handle: impl FnMut(UnixStream, &Mutex<Vec<ClientRequest>>) + Send + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(bpfmanctl::SOCKET_NAME)).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        // Ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                handle(stream.unwrap(), &seen);
            }
        });
        Self {
            directory,
            requests,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn requests(&self) -> Vec<ClientRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// Runs a command against this service.
    pub(crate) fn run(&self, line: &str) -> crate::Outcome {
        crate::run(&format!(
            "--runtime-dir {} {line}",
            self.directory().display()
        ))
    }
}
