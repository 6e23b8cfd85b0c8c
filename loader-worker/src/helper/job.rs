//! The jobs themselves.

use super::{libxdp, namespace, open, xdp_program};
use crate::helpers::Done;
use crate::hooks::{self, Site};
use crate::kernel::{Error, netlink, perf};
use crate::kinds::{kprobe, perf_event, tracepoint, uprobe};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};
use ipc::messages::mprog::MprogHook;
use rustix::fs::{AtFlags, FileType, FsWord, Gid, chownat, fstat, fstatfs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// `BPF_FS_MAGIC` of `include/uapi/linux/magic.h`.
pub(super) const BPF_FS_MAGIC: FsWord = 0xcafe_4a11;

/// Does a job of the kind that this helper was started for. A job in a network namespace leaves the thread there, without
/// CAP_SYS_ADMIN.
pub fn perform(
    kind: HelperKind,
    job: &HelperJob,
    descriptors: &[OwnedFd],
) -> Result<Done, Failure> {
    match kind {
        HelperKind::PerfEvent => open_event(job, descriptors).map(opened),
        HelperKind::ChangeGroup => change_group(job, descriptors),
        HelperKind::DescribeXdp => match job {
            HelperJob::DescribeXdp {
                program_id,
                ifindex,
            } => xdp_program::describe(*program_id, *ifindex),
            _ => Err(unfit(job)),
        },
        HelperKind::Libxdp => libxdp::perform(job, descriptors),
        HelperKind::NetworkNamespace => {
            let (namespace, others) = descriptors.split_first().ok_or_else(|| unfit(job))?;
            // What does not belong here is refused before anything is entered.
            if !is_for_namespaces(job) {
                return Err(unfit(job));
            }
            namespace::enter(namespace.as_fd())?;
            act_inside(job, others)
        }
        // It needs directories besides, which are given to a process of its own.
        HelperKind::MountVolume => Err(unfit(job)),
        HelperKind::OpenPath | HelperKind::OpenInContainer => {
            let is_for_containers = kind == HelperKind::OpenInContainer;
            match open::perform(job, is_for_containers) {
                Some(file) if descriptors.is_empty() => file.map(opened),
                _ => Err(unfit(job)),
            }
        }
    }
}

fn open_event(job: &HelperJob, descriptors: &[OwnedFd]) -> Result<OwnedFd, Failure> {
    match (job, descriptors) {
        (HelperJob::OpenTracepoint { group, name }, []) => {
            tracepoint::open(group, name)?.ok_or_else(|| {
                Failure::new(
                    FailureCode::Internal,
                    Stage::Attach,
                    format!("the kernel refuses the event of tracepoint \"{group}/{name}\" even to the helper"),
                )
                .remedy("see kernel lockdown, and whether tracefs is readable for root")
            })
        }
        (
            HelperJob::OpenUprobe {
                file_offset,
                retprobe,
                pid,
            },
            [target],
        ) => perf::open_uprobe(target.as_fd(), *file_offset, *retprobe, *pid)
            .map_err(|error| uprobe::explain_open(error, "the target", *file_offset, *pid)),
        (
            HelperJob::OpenKprobe {
                function,
                offset,
                retprobe,
            },
            [],
        ) => kprobe::open(function, *offset, *retprobe),
        (
            HelperJob::OpenSampled {
                event,
                sampling,
                pid,
                cpu,
            },
            [],
        ) => perf_event::open(event, *sampling, *pid, *cpu)?.ok_or_else(|| {
            Failure::new(
                FailureCode::Internal,
                Stage::Attach,
                format!("the kernel refuses perf event \"{event}\" even to the helper"),
            )
            .remedy("see kernel lockdown")
        }),
        _ => Err(unfit(job)),
    }
}

fn change_group(job: &HelperJob, pins: &[OwnedFd]) -> Result<Done, Failure> {
    // -1 means "leave the group as it is".
    let HelperJob::ChangeGroup { gid } = job else {
        return Err(unfit(job));
    };
    if *gid == u32::MAX {
        return Err(unfit(job));
    }
    let group = Gid::from_raw(*gid);
    // All before any: a refused job has changed nothing.
    pins.iter().try_for_each(require_pin)?;
    for pin in pins {
        chownat(pin, c"", None, Some(group), AtFlags::EMPTY_PATH).map_err(|errno| {
            Error::new("fchownat", errno)
                .into_failure(Stage::Pin, format!("giving a map pin to group {gid}"))
        })?;
    }
    Ok(Done {
        result: HelperResult::Changed,
        descriptors: Vec::new(),
    })
}

fn is_for_namespaces(job: &HelperJob) -> bool {
    matches!(
        job,
        HelperJob::FindInterface { .. }
            | HelperJob::CreateXdpLink { .. }
            | HelperJob::CreateMprogLink { .. }
            | HelperJob::CreateNetfilterLink { .. }
            | HelperJob::OpenNetlink
            | HelperJob::NoteInterface { .. }
            | HelperJob::ListMprog { .. }
    )
}

/// One act in the namespace that was entered; the program is beside the job, where there is one.
fn act_inside(job: &HelperJob, descriptors: &[OwnedFd]) -> Result<Done, Failure> {
    match job {
        HelperJob::FindInterface { name } => Ok(Done {
            result: HelperResult::Interface {
                ifindex: hooks::interface::find(name)?,
            },
            descriptors: Vec::new(),
        }),
        HelperJob::CreateXdpLink {
            ifindex,
            interface,
            program_id,
        } => {
            let site = Site {
                ifindex: *ifindex,
                interface,
                program_id: *program_id,
            };
            let (link, mode) = hooks::xdp::create(beside(job, descriptors)?, site)?;
            Ok(Done {
                result: HelperResult::XdpLink { mode },
                descriptors: vec![link],
            })
        }
        HelperJob::CreateMprogLink {
            ifindex,
            interface,
            hook,
            member,
            siblings,
        } => {
            let site = Site {
                ifindex: *ifindex,
                interface,
                program_id: member.program_id,
            };
            let program = beside(job, descriptors)?;
            hooks::mprog::create(program, site, *hook, member.priority, siblings).map(opened)
        }
        HelperJob::CreateNetfilterLink { place, program_id } => {
            hooks::netfilter::create(beside(job, descriptors)?, place, *program_id).map(opened)
        }
        HelperJob::OpenNetlink => netlink::descriptor().map(opened).map_err(|error| {
            error.into_failure(Stage::Resolve, "the filters of the network namespace")
        }),
        HelperJob::NoteInterface { ifindex, interface } => {
            hooks::interface::note(beside(job, descriptors)?, *ifindex, interface)?;
            Ok(Done {
                result: HelperResult::Changed,
                descriptors: Vec::new(),
            })
        }
        HelperJob::ListMprog { ifindex, hooks } => {
            let on = |hook: &MprogHook| hooks::mprog::programs(*ifindex, *hook);
            Ok(Done {
                result: HelperResult::OnMprog(hooks.iter().map(on).collect::<Result<_, _>>()?),
                descriptors: Vec::new(),
            })
        }
        _ => Err(unfit(job)),
    }
}

/// What is beside a job: the program, or the map that is to be written.
fn beside<'a>(job: &HelperJob, descriptors: &'a [OwnedFd]) -> Result<BorrowedFd<'a>, Failure> {
    let first = descriptors.first().ok_or_else(|| unfit(job))?;
    Ok(first.as_fd())
}

fn opened(descriptor: OwnedFd) -> Done {
    Done {
        result: HelperResult::Opened,
        descriptors: vec![descriptor],
    }
}

/// CAP_CHOWN reaches every file, and a descriptor opened with O_PATH passes Landlock: a loader that was taken over could
/// pass /etc/shadow. Only files of a bpffs are what this helper is for.
fn require_pin(file: &OwnedFd) -> Result<(), Failure> {
    let failed = |errno| {
        Error::new("fstatfs", errno).into_failure(Stage::Pin, "a file that was passed as map pin")
    };
    let filesystem = fstatfs(file).map_err(failed)?;
    let is_file = FileType::from_raw_mode(fstat(file).map_err(failed)?.st_mode).is_file();
    if filesystem.f_type == BPF_FS_MAGIC && is_file {
        return Ok(());
    }
    Err(Failure::new(
        FailureCode::InvalidArgument,
        Stage::Pin,
        "a file that was passed as map pin is not on a bpffs",
    )
    .remedy("this is a fault of bpfman's loader, please report it"))
}

pub(super) fn unfit(job: &HelperJob) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Request,
        format!("this helper was not started for {job:?}"),
    )
}
