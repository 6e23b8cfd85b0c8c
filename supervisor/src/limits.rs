//! Every bound of the supervisor and the spawner, with its reason.

use std::time::Duration;

/// First pause before a restart. A crash must be repaired within 150 ms; the start itself takes most of that in an
/// emulated machine, so the pause may not.
pub const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Longest pause. Longer ones only keep an operator waiting who has just repaired the cause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A worker that served this long has started well: its next death is a first one. Shorter than the interval at which
/// somebody kills workers on purpose, longer than any failure that happens on start.
pub const MINIMUM_RUN: Duration = Duration::from_millis(100);

/// Starts in a row that may fail before a worker is held: about 2.5 s of pauses, so that a passing cause (memory, a
/// lock still held by an ending process) is ridden out and a lasting one is reported soon.
pub const FAILURES_BEFORE_HOLD: u32 = 8;

/// Deaths within [`BURST_WINDOW`] after which every pause is the longest: a request that kills its worker each time
/// must not keep a processor busy with restarts.
pub const BURST: usize = 50;

/// See [`BURST`].
pub const BURST_WINDOW: Duration = Duration::from_secs(10);

/// From the start command until the sandbox report. It takes milliseconds; emulated machines are slow.
pub const START_DEADLINE: Duration = Duration::from_secs(20);

/// From activation until the loader has reconciled: hundreds of programs, a store that recovers its log.
pub const RECONCILE_DEADLINE: Duration = Duration::from_secs(120);

/// From `Stop` until `Drained` and exit. The loader finishes what the verifier is chewing on; systemd allows 90 s.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(20);

/// From the end of a worker's control link until its own. A worker closes its link before it ends; killed in between, it
/// could not say why. It takes a millisecond; emulated machines are slow.
pub const END_DEADLINE: Duration = Duration::from_secs(1);

/// For the spawner's answer to a command. It does nothing else; a silent spawner is a dead one.
pub const SPAWNER_DEADLINE: Duration = Duration::from_secs(10);

/// From the last worker's end until the spawner's.
pub const SPAWNER_END_DEADLINE: Duration = Duration::from_secs(2);

/// Messages waiting to be written to one worker. It gets a handful per restart of a peer; more means that it does not
/// read, and then it is restarted.
pub const CONTROL_QUEUE: usize = 64;

/// Helper requests waiting for their turn, per kind. The loader has at most a window of requests in flight, few of
/// which need a helper.
pub const HELPER_QUEUE: usize = 16;

/// Longest line of a worker's log that is passed on; the rest of the line is cut.
pub const LOG_LINE_BYTES: usize = 8 * 1024;

/// Lines of one worker passed on per [`LOG_WINDOW`]; the rest is counted. Debug logs of a busy worker stay below.
pub const LOG_LINES: u32 = 2000;

/// See [`LOG_LINES`].
pub const LOG_WINDOW: Duration = Duration::from_secs(1);

/// Longest note in a row of `bpfmanctl status`: reasons of failures can be long, and all rows must fit one frame.
pub const NOTE_BYTES: usize = 512;

/// Clients that may wait for the API worker. More than its sessions are open at once, so that a burst waits instead of
/// failing.
pub const BACKLOG: i32 = 512;

/// Most bytes of the configuration file, of /etc/passwd and of /etc/group that are read.
pub const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// How long a start waits for the lock of its runtime directory: processes of an instance that was killed need a
/// moment to end.
pub const LOCK_WAIT: Duration = Duration::from_secs(2);

/// Bytes of a socket's path (`sun_path` without the NUL).
pub const SOCKET_PATH_BYTES: usize = 107;
