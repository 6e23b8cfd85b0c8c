//! Stands for every worker in `tests/tree.rs`: enters the real sandbox, speaks the real protocol, does no work.
//!
//! It writes a line for everything that happens to it. What it does wrong on purpose is chosen by modules in the log
//! specification (`--log info,sandbox::loader-exits=error`), the one free text that bpfmand hands through.

use ipc::blocking::Link;
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};
use ipc::messages::image::{ImageReply, ImageRequest, PlanDelivery, PlanReceipt};
use ipc::messages::loader::{LoaderReply, LoaderRequest};
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use sandbox::WorkerArguments;
use sandbox::seccomp::Policy;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

const POLICY: &str = r#"{
    "name": "fake-worker",
    "includes": ["rust", "threads", "tokio", "unix-socket", "files"],
    "allow": []
}"#;

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Fake {
    arguments: WorkerArguments,
    control: Link<Control, Status>,
    /// Links to peers, open for as long as the peers are up.
    peers: Vec<(Role, u32, Peer)>,
}

/// A link that nothing is sent on.
#[allow(dead_code, reason = "held open, never read")]
enum Peer {
    ToLoader(Link<LoaderReply, LoaderRequest>),
    ToImage(Link<ImageReply, ImageRequest>),
    Clients(Link<LoaderRequest, LoaderReply>),
    Askers(Link<ImageRequest, ImageReply>),
    Plans(Link<PlanDelivery, PlanReceipt>),
    Receipts(Link<PlanReceipt, PlanDelivery>),
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = WorkerArguments::parse(std::env::args_os().skip(1))?;
    let profile = sandbox::profiles::profile(&arguments, Policy::parse(POLICY)?);
    let mut report = sandbox::enter(&profile, arguments.mode)?;
    let socket = control_socket()?;
    if arguments.role == Role::Helper {
        return help(socket, &arguments);
    }
    let (role, generation) = (arguments.role, arguments.generation);
    let (control, hello) = Link::establish(socket, role, generation, Role::Supervisor, SOON)?;
    eprintln!("hello from {} {}", hello.role, hello.generation);
    let mut fake = Fake {
        arguments,
        control,
        peers: Vec::new(),
    };
    if fake.does("lies") {
        report.cap_effective = 1;
    }
    if fake.does("exits") {
        return Err("exits on purpose".into());
    }
    fake.control.send(0, &Status::Ready(report), &[])?;
    while let Some(envelope) = fake.control.receive(FOR_EVER)? {
        if !fake.obey(envelope.request_id, envelope.message, envelope.descriptors)? {
            return Ok(());
        }
    }
    eprintln!("control socket closed");
    if fake.does("survives") {
        std::thread::sleep(FOR_EVER);
    }
    Ok(())
}

impl Fake {
    fn does(&self, fault: &str) -> bool {
        self.arguments
            .log
            .contains(&format!("{}-{fault}=", self.arguments.role))
    }

    fn obey(
        &mut self,
        request: u64,
        message: Control,
        mut descriptors: Vec<OwnedFd>,
    ) -> Result<bool, Box<dyn std::error::Error>> {
        match message {
            Control::Activate => {
                eprintln!("activated with {} sockets", descriptors.len());
                match self.arguments.role {
                    Role::Loader if self.does("mute") => {}
                    Role::Loader => {
                        self.control.send(0, &Status::Serving, &[])?;
                        if self.does("helps") {
                            self.control.send(
                                11,
                                &Status::StartHelper {
                                    kind: HelperKind::PerfEvent,
                                },
                                &[],
                            )?;
                            self.control.send(
                                12,
                                &Status::StartHelper {
                                    kind: HelperKind::PerfEvent,
                                },
                                &[],
                            )?;
                        }
                    }
                    Role::Api => self.control.send(7, &Status::QueryStatus, &[])?,
                    _ => {}
                }
                // Held open as the real API worker holds it.
                std::mem::forget(descriptors);
            }
            Control::PeerUp { peer, generation } => {
                let socket = UnixStream::from(descriptors.remove(0));
                let link = self.link(peer, socket)?;
                self.peers.push((peer, generation, link));
                eprintln!("up {peer} {generation}");
                if self.does("accuses") && peer == Role::Image && generation == 1 {
                    let fault = "says a test".to_owned();
                    self.control.send(
                        0,
                        &Status::PeerFault {
                            peer,
                            generation,
                            fault,
                        },
                        &[],
                    )?;
                }
                if self.does("oversteps") && self.arguments.generation == 1 {
                    self.control.send(
                        0,
                        &Status::StartHelper {
                            kind: HelperKind::PerfEvent,
                        },
                        &[],
                    )?;
                }
            }
            Control::PeerDown { peer, generation } => {
                let before = self.peers.len();
                self.peers
                    .retain(|(role, of, _)| (*role, *of) != (peer, generation));
                eprintln!(
                    "down {peer} {generation} ({} link closed)",
                    before - self.peers.len()
                );
            }
            Control::StatusReport(rows) => {
                for row in rows {
                    eprintln!(
                        "row {request} {} {} uid={} eff={:#x} prm={:#x} seccomp={} nnp={} landlock={} generation={} memory={}",
                        row.role,
                        row.state.name(),
                        row.uid,
                        row.cap_effective,
                        row.cap_permitted,
                        row.seccomp_mode,
                        row.no_new_privs,
                        row.landlock,
                        row.generation,
                        row.memory > 0,
                    );
                }
            }
            Control::HelperStarted => {
                let socket = UnixStream::from(descriptors.remove(0));
                let (_link, hello) = Link::<HelperResult, HelperJob>::establish(
                    socket,
                    Role::Loader,
                    self.arguments.generation,
                    Role::Helper,
                    SOON,
                )?;
                eprintln!(
                    "helper {request} greets as {} {}",
                    hello.role, hello.generation
                );
            }
            Control::HelperRefused { reason } => eprintln!("helper {request} refused: {reason}"),
            Control::Stop if self.does("stays") => eprintln!("stays"),
            Control::Stop => {
                eprintln!("drained");
                self.control.send(0, &Status::Drained, &[])?;
                return Ok(false);
            }
            Control::SetLog { specification } => eprintln!("logs {specification}"),
            Control::Hello(_) => return Err("a second hello".into()),
        }
        Ok(true)
    }

    /// Greets the peer, so that a link to the wrong end shows.
    fn link(&self, peer: Role, socket: UnixStream) -> Result<Peer, Box<dyn std::error::Error>> {
        let (own, generation) = (self.arguments.role, self.arguments.generation);
        Ok(match (own, peer) {
            (Role::Api, Role::Loader) => {
                Peer::ToLoader(Link::establish(socket, own, generation, peer, SOON)?.0)
            }
            (Role::Api, Role::Image) => {
                Peer::ToImage(Link::establish(socket, own, generation, peer, SOON)?.0)
            }
            (Role::Loader, Role::Api) => {
                Peer::Clients(Link::establish(socket, own, generation, peer, SOON)?.0)
            }
            (Role::Image, Role::Api) => {
                Peer::Askers(Link::establish(socket, own, generation, peer, SOON)?.0)
            }
            (Role::Loader, Role::Image) => {
                Peer::Plans(Link::establish(socket, own, generation, peer, SOON)?.0)
            }
            (Role::Image, Role::Loader) => {
                Peer::Receipts(Link::establish(socket, own, generation, peer, SOON)?.0)
            }
            (own, peer) => return Err(format!("no link between {own} and {peer}").into()),
        })
    }
}

fn help(socket: UnixStream, arguments: &WorkerArguments) -> Result<(), Box<dyn std::error::Error>> {
    let (mut link, _) = Link::<HelperJob, HelperResult>::establish(
        socket,
        Role::Helper,
        arguments.generation,
        Role::Loader,
        SOON,
    )?;
    // Until the loader has closed it.
    while link.receive(FOR_EVER)?.is_some() {}
    Ok(())
}

#[allow(
    unsafe_code,
    reason = "an inherited descriptor has no owner yet; std cannot know"
)]
fn control_socket() -> Result<UnixStream, Box<dyn std::error::Error>> {
    use std::os::fd::FromRawFd;
    // SAFETY: the spawner passes it, and the sandbox has refused to start without it; nothing else in this process owns it.
    Ok(unsafe { UnixStream::from_raw_fd(sandbox::profiles::CONTROL_SOCKET) })
}
