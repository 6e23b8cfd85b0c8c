//! Changes of what libxdp has on an interface, as libxdp makes them: under its lock, with its pins, by netlink.
//!
//! A change makes a whole new dispatcher beside the old one. Its pins come first, so that whoever sees it on the interface
//! finds its members; the pins of the old one go last. What a kill leaves between are pins of a dispatcher that is not on the
//! interface.

use super::foreign;
use super::guests::{self, Composition, Source};
use super::{dispatcher, member};
use crate::helpers::{Done, Helpers};
use crate::hooks::xdp::{is_refusal_by_occupant, taken_by};
use crate::kernel::netlink::Socket;
use crate::kernel::{Error, info, link, xdp_hook};
use crate::limits::LIBXDP_LOCK_PAUSE;
use ipc::messages::attach::XdpMode;
use ipc::messages::chain::HookKind;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult, LibxdpDispatcher};
use ipc::messages::kernel::KernelLink;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The lock, and what it protects on one interface. Dropping it lets go of the lock.
#[derive(Debug)]
pub struct Session {
    _lock: OwnedFd,
    ifindex: u32,
    /// Kernel id of the program on the interface.
    on_hook: Option<u32>,
    present: Option<Present>,
}

/// A dispatcher with its members, opened.
#[derive(Debug)]
struct Present {
    mode: XdpMode,
    program: OwnedFd,
    dispatcher: LibxdpDispatcher,
    members: Vec<OwnedFd>,
}

/// A dispatcher that is not on the interface yet, with its members.
#[derive(Debug)]
pub struct Made {
    /// Its kernel id.
    pub id: u32,
    program: OwnedFd,
    members: Vec<(OwnedFd, OwnedFd, KernelLink)>,
}

impl Made {
    /// The place of a program in it, and the link by which it is there.
    pub fn place(&self, program_id: u32) -> Option<(usize, &KernelLink)> {
        let links = self.members.iter().map(|(_, _, link)| link).enumerate();
        links
            .into_iter()
            .find(|(_, link)| link.program_id == program_id)
    }
}

impl Session {
    /// Waits for the lock, and opens the dispatcher. What else is on the interface is refused by name.
    pub async fn open(
        ifindex: u32,
        patience: Duration,
        helpers: &dyn Helpers,
    ) -> Result<Self, Failure> {
        let deadline = Instant::now() + patience;
        loop {
            if Instant::now() > deadline {
                return Err(busy(patience));
            }
            let found = look(ifindex)?;
            let job = HelperJob::OpenLibxdp {
                ifindex,
                program_id: found.map(|(id, _)| id),
            };
            let opened = helpers.run(HelperKind::Libxdp, job, Vec::new()).await;
            // Somebody who does not take the lock, or took it in the meantime.
            if look(ifindex)? != found {
                continue;
            }
            let Done {
                result,
                mut descriptors,
            } = opened?;
            let dispatcher = match result {
                HelperResult::LibxdpBusy => {
                    tokio::time::sleep(LIBXDP_LOCK_PAUSE).await;
                    continue;
                }
                HelperResult::Libxdp { dispatcher } => dispatcher,
                other => return Err(unfit(&other)),
            };
            let expected = match &dispatcher {
                Some(dispatcher) => 2 + dispatcher.members.len(),
                None => 1,
            };
            if descriptors.len() != expected || dispatcher.is_some() != found.is_some() {
                return Err(unfit(&"something else than was on the interface"));
            }
            let lock = descriptors.remove(0);
            let present = match (dispatcher, found) {
                (Some(dispatcher), Some((_, mode))) => Some(Present {
                    mode,
                    program: descriptors.remove(0),
                    dispatcher,
                    members: descriptors,
                }),
                _ => None,
            };
            return Ok(Self {
                _lock: lock,
                ifindex,
                on_hook: found.map(|(id, _)| id),
                present,
            });
        }
    }

    /// The same where anything may be on the interface, which may be gone; what is no dispatcher of libxdp has no members.
    pub async fn open_whatever_is_there(
        ifindex: u32,
        patience: Duration,
        helpers: &dyn Helpers,
    ) -> Result<Self, Failure> {
        let failure = match Self::open(ifindex, patience, helpers).await {
            Err(failure) if is_refusal_by_occupant(&failure) => failure,
            opened => return opened,
        };
        tracing::debug!(%failure, "nothing of libxdp's");
        let deadline = Instant::now() + patience;
        while Instant::now() <= deadline {
            let job = HelperJob::OpenLibxdp {
                ifindex,
                program_id: None,
            };
            let mut done = helpers.run(HelperKind::Libxdp, job, Vec::new()).await?;
            match (done.result, done.descriptors.pop()) {
                (HelperResult::Libxdp { dispatcher: None }, Some(lock)) => {
                    return Ok(Self {
                        _lock: lock,
                        ifindex,
                        on_hook: look(ifindex).ok().flatten().map(|(id, _)| id),
                        present: None,
                    });
                }
                (HelperResult::LibxdpBusy, _) => tokio::time::sleep(LIBXDP_LOCK_PAUSE).await,
                (other, _) => return Err(unfit(&other)),
            }
        }
        Err(busy(patience))
    }

    /// Kernel id of the program on the interface, and the dispatcher if it is one.
    pub fn on_hook(&self) -> Option<u32> {
        self.on_hook
    }

    /// The dispatcher on the interface, if that is what is there.
    pub fn dispatcher(&self) -> Option<&LibxdpDispatcher> {
        self.present.as_ref().map(|present| &present.dispatcher)
    }

    /// Whether the dispatcher has this program.
    pub fn has(&self, program_id: u32) -> bool {
        let members = self.dispatcher().map_or(&[][..], |found| &found.members);
        members.iter().any(|member| member.program_id == program_id)
    }

    /// What the dispatcher becomes without this program, made; `None` where nobody is left.
    pub fn make_without(&self, program_id: u32) -> Result<Option<Made>, Failure> {
        let Some(dispatcher) = self.dispatcher() else {
            return Ok(None);
        };
        match guests::without(dispatcher, program_id)? {
            Some(composition) => self.make(&composition, None).map(Some),
            None => Ok(None),
        }
    }

    /// Makes a dispatcher; nothing of it outlives the process.
    pub fn make(
        &self,
        composition: &Composition,
        ours: Option<BorrowedFd<'_>>,
    ) -> Result<Made, Failure> {
        let failed = |error: Error| error.into_failure(Stage::Attach, "a dispatcher for libxdp");
        let contents = composition.configuration();
        let has_frags = composition.has_frags();
        let program = member::load_configured(HookKind::Xdp, &contents, has_frags)?;
        let (kernel, _) = info::program(program.as_fd()).map_err(failed)?;
        let present = self.present.as_ref();
        let mut members = Vec::with_capacity(composition.sources.len());
        for (place, source) in composition.sources.iter().enumerate() {
            let opened = match source {
                Source::Ours => ours,
                Source::Present(place) => present
                    .and_then(|present| present.members.get(*place))
                    .map(AsFd::as_fd),
            };
            let opened = opened.ok_or_else(|| unfit(&"fewer members than there are"))?;
            let opened = copy(opened)?;
            let function = dispatcher::function(HookKind::Xdp, place)?;
            let link = link::create_replacing(opened.as_fd(), program.as_fd(), function)
                .map_err(failed)?;
            let described = info::link(link.as_fd()).map_err(failed)?;
            members.push((opened, link, described));
        }
        Ok(Made {
            id: kernel.id,
            program,
            members,
        })
    }

    /// Pins a dispatcher where libxdp looks for it.
    pub async fn publish(&self, made: &Made, helpers: &dyn Helpers) -> Result<(), Failure> {
        let job = HelperJob::PublishLibxdp {
            ifindex: self.ifindex,
            dispatcher: made.id,
        };
        let mut beside = Vec::with_capacity(2 * made.members.len());
        for (program, link, _) in &made.members {
            beside.push(copy(program.as_fd())?);
            beside.push(copy(link.as_fd())?);
        }
        changed(helpers.run(HelperKind::Libxdp, job, beside).await?)
    }

    /// Puts a dispatcher, or nothing, in the place of what is there.
    pub fn swap(&mut self, made: Option<&Made>) -> Result<XdpMode, Error> {
        let socket = Socket::open()?;
        let new = made.map(|made| made.program.as_fd());
        let replace = |mode, expected| {
            xdp_hook::replace(&socket, self.ifindex, mode, new, expected).map(|()| mode)
        };
        let mode = match &self.present {
            Some(present) => replace(present.mode, Some(present.program.as_fd())),
            // As libxdp does it, and as bpfman does it for itself.
            None => match replace(XdpMode::Native, None) {
                Err(error) if !is_lost(&error) => replace(XdpMode::Generic, None),
                native => native,
            },
        }?;
        self.on_hook = made.map(|made| made.id);
        self.present = None;
        Ok(mode)
    }

    /// Takes away the pins of dispatchers that are not on the interface.
    pub async fn retire(&self, dispatchers: &[u32], helpers: &dyn Helpers) -> Result<(), Failure> {
        let stale = dispatchers.iter().copied();
        for dispatcher in stale.filter(|id| *id != 0 && Some(*id) != self.on_hook) {
            let job = HelperJob::RetireLibxdp {
                ifindex: self.ifindex,
                dispatcher,
            };
            changed(helpers.run(HelperKind::Libxdp, job, Vec::new()).await?)?;
        }
        Ok(())
    }
}

/// Whether somebody else was faster.
pub fn is_lost(error: &Error) -> bool {
    matches!(error.errno, Errno::EXIST | Errno::AGAIN)
}

/// For people.
pub fn not_swapped(error: Error, stage: Stage) -> Failure {
    if error.errno == Errno::BUSY {
        return taken_by("it is held by a link, so its owner is not libxdp");
    }
    error.into_failure(stage, "the dispatcher of libxdp")
}

/// The program on an interface; `None` where there is none, or no interface.
pub fn look(ifindex: u32) -> Result<Option<(u32, XdpMode)>, Failure> {
    let found = Socket::open().and_then(|socket| xdp_hook::attached(&socket, ifindex));
    let found = match found {
        Err(error) if error.errno == Errno::NODEV => return Ok(None),
        found => found.map_err(|error| {
            error.into_failure(Stage::Query, format!("the XDP hook of interface {ifindex}"))
        })?,
    };
    match found[..] {
        [] => Ok(None),
        [(id, Some(mode))] => Ok(Some((id, mode))),
        [(id, None)] => Err(taken_by(&format!("program {id}, in the hardware"))),
        _ => Err(taken_by("programs in the driver and in the hardware")),
    }
}

fn busy(patience: Duration) -> Failure {
    let cause = format!(
        "somebody else has had libxdp's lock ({}) for {patience:?}",
        foreign::PIN_ROOT
    );
    Failure::new(FailureCode::Unavailable, Stage::Attach, cause).remedy(
        "see which xdp-loader, or other user of libxdp, does not end (fuser -v /sys/fs/bpf/xdp), and retry",
    )
}

fn copy(descriptor: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    descriptor.try_clone_to_owned().map_err(|error| {
        Error::from_io("dup", &error).into_failure(Stage::Attach, "a member of a dispatcher")
    })
}

fn changed(done: Done) -> Result<(), Failure> {
    match done.result {
        HelperResult::Changed => Ok(()),
        other => Err(unfit(&other)),
    }
}

fn unfit(answer: &impl std::fmt::Debug) -> Failure {
    let cause = format!("the helper for dispatchers of libxdp answered {answer:?}");
    Failure::new(FailureCode::Internal, Stage::Attach, cause)
        .remedy("this is a fault of bpfman, please report it")
}
