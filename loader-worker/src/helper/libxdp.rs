//! What libxdp has on an interface: opened under its lock, pinned and unpinned where it looks.
//!
//! The lock goes to the loader with what was opened, and is held as long as the loader keeps it open: a change is several
//! jobs, each of which has a process of its own. Programs of others leave this process too, but only a dispatcher of libxdp's
//! protocol that is named by its id, and members that libxdp has pinned for it. The loader has to put them in the places of
//! functions of a new dispatcher, and could take them off the interface without this helper.

use super::job::{BPF_FS_MAGIC, unfit};
use super::xdp_program::configuration;
use crate::chains::foreign::{self, PIN_ROOT};
use crate::chains::strategy::LIBXDP_MEMBERS;
use crate::helpers::Done;
use crate::hooks::xdp::taken_by;
use crate::kernel::{Error, by_id, info, pin, program};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperResult, LibxdpDispatcher, LibxdpMember};
use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstatfs, mkdirat, openat, unlinkat,
};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// As libxdp makes its directories.
const DIRECTORY_MODE: Mode = Mode::RWXU;

/// The job.
pub(super) fn perform(job: &HelperJob, beside: &[OwnedFd]) -> Result<Done, Failure> {
    match (job, beside) {
        (
            HelperJob::OpenLibxdp {
                ifindex,
                program_id,
            },
            [],
        ) => open(*ifindex, *program_id),
        (
            HelperJob::PublishLibxdp {
                ifindex,
                dispatcher,
            },
            [_, ..],
        ) => publish(*ifindex, *dispatcher, beside),
        (
            HelperJob::RetireLibxdp {
                ifindex,
                dispatcher,
            },
            [],
        ) => retire(*ifindex, *dispatcher).map(|()| changed()),
        _ => Err(unfit(job)),
    }
}

fn open(ifindex: u32, program_id: Option<u32>) -> Result<Done, Failure> {
    let Some(lock) = lock()? else {
        return Ok(Done {
            result: HelperResult::LibxdpBusy,
            descriptors: Vec::new(),
        });
    };
    let mut descriptors = vec![lock];
    let dispatcher = match program_id {
        Some(id) => Some(open_dispatcher(ifindex, id, &mut descriptors)?),
        None => None,
    };
    Ok(Done {
        result: HelperResult::Libxdp { dispatcher },
        descriptors,
    })
}

/// `None`: not now.
fn lock() -> Result<Option<OwnedFd>, Failure> {
    let failed = |call| move |errno| not_made(Error::new(call, errno), Path::new(PIN_ROOT));
    match mkdirat(CWD, PIN_ROOT, DIRECTORY_MODE) {
        // What this process may open was settled before it was there.
        Ok(()) => return Ok(None),
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed("mkdirat")(errno)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = openat(CWD, PIN_ROOT, flags, Mode::empty()).map_err(failed("openat"))?;
    if fstatfs(&root).map_err(failed("fstatfs"))?.f_type != BPF_FS_MAGIC {
        let cause =
            format!("{PIN_ROOT} is not on a bpffs, so libxdp keeps its dispatchers elsewhere");
        let failure = Failure::new(FailureCode::FailedPrecondition, Stage::Attach, cause);
        return Err(failure.remedy("mount a bpffs on /sys/fs/bpf (mount -t bpf bpf /sys/fs/bpf)"));
    }
    match flock(&root, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(root)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(failed("flock")(errno)),
    }
}

/// libxdp's place cannot be used.
fn not_made(error: Error, path: &Path) -> Failure {
    let remedy = match error.errno {
        Errno::NOENT | Errno::ACCESS | Errno::PERM | Errno::ROFS => {
            "see that a bpffs is mounted on /sys/fs/bpf (mount -t bpf bpf /sys/fs/bpf) and that the service may write \
             there: bpfman.service takes a drop-in with ReadWritePaths=-/sys/fs/bpf"
        }
        _ => "",
    };
    error
        .into_failure(Stage::Pin, path.display())
        .remedy(remedy)
}

fn open_dispatcher(
    ifindex: u32,
    id: u32,
    beside: &mut Vec<OwnedFd>,
) -> Result<LibxdpDispatcher, Failure> {
    let failed = |error: Error| error.into_failure(Stage::Attach, format!("program {id}"));
    let opened = by_id::program(id).map_err(failed)?;
    let (kernel, _) = info::program(opened.as_fd()).map_err(failed)?;
    let is_xdp = kernel.prog_type == program::XDP_TYPE;
    let configuration = configuration(&kernel).map_err(failed)?;
    let Some(configuration) = configuration.filter(|_| is_xdp) else {
        let name = &kernel.name;
        return Err(taken_by(&format!(
            "program {id} \"{name}\", which is no dispatcher of libxdp"
        )));
    };
    beside.push(opened);
    let mut members = Vec::with_capacity(configuration.slots.len());
    for (position, slot) in configuration.slots.iter().enumerate() {
        let path = foreign::member_pin(ifindex, id, position);
        let (member, kernel) = pin::get(&path)
            .and_then(|member| {
                let (kernel, _) = info::program(member.as_fd())?;
                Ok((member, kernel))
            })
            .map_err(|error| not_pinned(id, &path, error))?;
        beside.push(member);
        let link = pin::get(&foreign::link_pin(ifindex, id, position))
            .and_then(|link| info::link(link.as_fd()));
        members.push(LibxdpMember {
            program_id: kernel.id,
            link_id: link.map_or(0, |link| link.id),
            name: kernel.name,
            priority: slot.priority,
            proceed_on: slot.proceed_on,
            flags: slot.flags,
        });
    }
    Ok(LibxdpDispatcher {
        version: configuration.version,
        members,
    })
}

/// Its owner keeps its pins elsewhere: another instance of bpfman, or libxdp with another bpffs.
fn not_pinned(id: u32, path: &Path, error: Error) -> Failure {
    if !error.is_not_found() {
        return error.into_failure(Stage::Attach, path.display());
    }
    let path = path.display();
    taken_by(&format!(
        "program {id}, a dispatcher whose members are not where libxdp pins them (there is no {path})"
    ))
}

fn publish(ifindex: u32, dispatcher: u32, beside: &[OwnedFd]) -> Result<Done, Failure> {
    let (members, rest) = beside.as_chunks::<2>();
    if !rest.is_empty() || members.len() > LIBXDP_MEMBERS {
        return Err(not_members());
    }
    for [member, link] in members {
        require_member(member, link)?;
    }
    // A dispatcher with this id of an earlier life of the machine's counter is on no interface.
    retire(ifindex, dispatcher)?;
    let published = pin_all(ifindex, dispatcher, members);
    if published.is_err() {
        retire(ifindex, dispatcher)?;
    }
    published.map(|()| changed())
}

fn pin_all(ifindex: u32, dispatcher: u32, members: &[[OwnedFd; 2]]) -> Result<(), Failure> {
    let directory = foreign::directory(ifindex, dispatcher);
    let failed = |path: &Path, error: Error| error.into_failure(Stage::Pin, path.display());
    mkdirat(CWD, &directory, DIRECTORY_MODE)
        .map_err(|errno| not_made(Error::new("mkdirat", errno), &directory))?;
    for (position, [member, link]) in members.iter().enumerate() {
        let path = foreign::member_pin(ifindex, dispatcher, position);
        pin::pin_beside(member.as_fd(), &path).map_err(|error| failed(&path, error))?;
        let path = foreign::link_pin(ifindex, dispatcher, position);
        pin::pin_beside(link.as_fd(), &path).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// A program that replaces functions, and a link by which it does: nothing else is pinned for libxdp.
fn require_member(member: &OwnedFd, link: &OwnedFd) -> Result<(), Failure> {
    let failed = |error: Error| error.into_failure(Stage::Pin, "a member of a dispatcher");
    let (program, _) = info::program(member.as_fd()).map_err(failed)?;
    let link = info::link(link.as_fd()).map_err(failed)?;
    let is_link = link.link_type == TRACING_LINK && link.program_id == program.id;
    if program.prog_type == program::EXTENSION_TYPE && is_link {
        return Ok(());
    }
    Err(not_members())
}

/// `BPF_LINK_TYPE_TRACING`.
const TRACING_LINK: u32 = 2;

fn not_members() -> Failure {
    let cause = "what is to be pinned for libxdp are not members of a dispatcher with their links";
    Failure::new(FailureCode::InvalidArgument, Stage::Pin, cause)
        .remedy("this is a fault of bpfman's loader, please report it")
}

/// Links end before the programs, and all before the directory, so that what a kill leaves is taken away by repeating it.
fn retire(ifindex: u32, dispatcher: u32) -> Result<(), Failure> {
    let slots = 0..LIBXDP_MEMBERS;
    let links = slots
        .clone()
        .map(|slot| foreign::link_pin(ifindex, dispatcher, slot));
    let programs = slots.map(|slot| foreign::member_pin(ifindex, dispatcher, slot));
    for path in links.chain(programs) {
        unlink(&path, AtFlags::empty())?;
    }
    unlink(&foreign::directory(ifindex, dispatcher), AtFlags::REMOVEDIR)
}

fn unlink(path: &Path, flags: AtFlags) -> Result<(), Failure> {
    match unlinkat(CWD, path, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => {
            Err(Error::new("unlinkat", errno).into_failure(Stage::Detach, path.display()))
        }
    }
}

fn changed() -> Done {
    Done {
        result: HelperResult::Changed,
        descriptors: Vec::new(),
    }
}
