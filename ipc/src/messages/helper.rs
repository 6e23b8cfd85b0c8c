//! Loader ⇄ one-shot helper: one job, one answer, exit.

use super::edge;
use super::failure::Failure;
use super::hello::Hello;
use bincode::{Decode, Encode};

/// What a helper is started for. Each kind has its own capability and its own sandbox profile.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum HelperKind {
    /// Opens perf events that need CAP_SYS_ADMIN (kprobes, uprobes before 6.6, tracepoints where `perf_event_paranoid` is
    /// 3).
    PerfEvent,
    /// Changes the group of map pins (CAP_CHOWN).
    ChangeGroup,
}

/// Loader to helper.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum HelperJob {
    /// Since version 1.
    Hello(Hello),
    /// Open the perf event of a tracepoint on CPU 0 for all processes.
    OpenTracepoint {
        /// Group.
        group: String,
        /// Name.
        name: String,
    },
    /// Open the perf event of a uprobe; the target's descriptor is beside the message.
    OpenUprobe {
        /// Offset in the file.
        file_offset: u64,
        /// At return.
        retprobe: bool,
        /// Only this process.
        pid: Option<i32>,
    },
    /// Give the files beside the message (O_PATH descriptors of pins) to a group.
    ChangeGroup {
        /// Group id.
        gid: u32,
    },
    /// Open the perf event of a kprobe. Since version 2.
    OpenKprobe {
        /// Kernel function.
        function: String,
        /// Bytes after its start.
        offset: u64,
        /// At return.
        retprobe: bool,
    },
}

edge!(HelperJob: Hello, OpenTracepoint, OpenUprobe, ChangeGroup, OpenKprobe);

/// Helper to loader.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum HelperResult {
    /// Since version 1.
    Hello(Hello),
    /// The descriptor asked for is beside the message.
    Opened,
    /// The files have the group.
    Changed,
    /// It could not be done.
    Failed(Failure),
}

edge!(HelperResult: Hello, Opened, Changed, Failed);
