//! The jobs themselves.

use crate::kernel::{Error, perf};
use crate::kinds::{kprobe, tracepoint, uprobe};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use rustix::fs::{AtFlags, FileType, FsWord, Gid, chownat, fstat, fstatfs};
use std::os::fd::{AsFd, OwnedFd};

/// `BPF_FS_MAGIC` of `include/uapi/linux/magic.h`.
const BPF_FS_MAGIC: FsWord = 0xcafe_4a11;

/// Does a job of the kind that this helper was started for: a descriptor, or nothing to hand over.
pub fn perform(
    kind: HelperKind,
    job: &HelperJob,
    descriptors: &[OwnedFd],
) -> Result<Option<OwnedFd>, Failure> {
    match (kind, job) {
        (HelperKind::PerfEvent, HelperJob::OpenTracepoint { group, name }) => {
            tracepoint::open(group, name)?.map(Some).ok_or_else(|| {
                Failure::new(
                    FailureCode::Internal,
                    Stage::Attach,
                    format!("the kernel refuses the event of tracepoint \"{group}/{name}\" even to the helper"),
                )
                .remedy("see kernel lockdown, and whether tracefs is readable for root")
            })
        }
        (HelperKind::PerfEvent, HelperJob::OpenUprobe { file_offset, retprobe, pid }) => {
            let [target] = descriptors else { return Err(unfit(job)) };
            perf::open_uprobe(target.as_fd(), *file_offset, *retprobe, *pid)
                .map(Some)
                .map_err(|error| uprobe::explain_open(error, "the target", *file_offset, *pid))
        }
        (HelperKind::PerfEvent, HelperJob::OpenKprobe { function, offset, retprobe }) => {
            kprobe::open(function, *offset, *retprobe).map(Some)
        }
        (HelperKind::ChangeGroup, HelperJob::ChangeGroup { gid }) => {
            // -1 means "leave the group as it is".
            if *gid == u32::MAX {
                return Err(unfit(job));
            }
            let group = Gid::from_raw(*gid);
            // All before any: a refused job has changed nothing.
            descriptors.iter().try_for_each(require_pin)?;
            for pin in descriptors {
                chownat(pin, c"", None, Some(group), AtFlags::EMPTY_PATH).map_err(|errno| {
                    Error::new("fchownat", errno).into_failure(Stage::Pin, format!("giving a map pin to group {gid}"))
                })?;
            }
            Ok(None)
        }
        _ => Err(unfit(job)),
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

fn unfit(job: &HelperJob) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Request,
        format!("this helper was not started for {job:?}"),
    )
}
