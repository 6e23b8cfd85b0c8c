//! Loader ⇄ one-shot helper: one job, one answer, exit.

use super::attach::{Sampling, XdpMode};
use super::chain::ForeignDispatcher;
use super::edge;
use super::failure::Failure;
use super::hello::Hello;
use super::mprog::{MprogHook, MprogMember};
use super::netfilter::NetfilterPlace;
use super::volume::{VolumeAccess, VolumePlace};
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
    /// Enters a network namespace (CAP_SYS_ADMIN, which it gives up then) and does one act at a hook there
    /// (CAP_NET_ADMIN). Since version 2.
    NetworkNamespace,
    /// Opens a path with the identity of a client that cannot pass a descriptor (CAP_SETUID and CAP_SETGID, which it gives
    /// up then). Since version 2.
    OpenPath,
    /// Looks at the XDP program of somebody else by its id (CAP_SYS_ADMIN). Since version 2.
    DescribeXdp,
    /// Opens a path among the files of another process with the identity of a client (CAP_SETUID and CAP_SETGID, and
    /// CAP_SYS_PTRACE for root, all of which it gives up before it opens). Since version 2.
    OpenInContainer,
    /// Mounts and unmounts volumes of pods (CAP_SYS_ADMIN and CAP_CHOWN). Since version 2.
    MountVolume,
    /// Takes libxdp's lock, opens what libxdp has on an interface (CAP_SYS_ADMIN), and pins and unpins dispatchers where
    /// libxdp looks for them. Since version 2.
    Libxdp,
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
    /// Find an interface of the network namespace beside the message. Since version 2.
    FindInterface {
        /// Its name.
        name: String,
    },
    /// Put a program on an interface; the network namespace and the program are beside the message. Since version 2.
    CreateXdpLink {
        /// Index of the interface.
        ifindex: u32,
        /// Its name, for messages.
        interface: String,
        /// Kernel id of the program, for messages.
        program_id: u32,
    },
    /// Put a program on a hook of tcx or netkit in its place; the network namespace and the program are beside the message. Since
    /// version 2.
    CreateMprogLink {
        /// Index of the interface.
        ifindex: u32,
        /// Its name, for messages.
        interface: String,
        /// Which hook of it.
        hook: MprogHook,
        /// What is to be put there.
        member: MprogMember,
        /// bpfman's programs there, in running order.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        siblings: Vec<MprogMember>,
    },
    /// Open a perf event that is sampled. Since version 2.
    OpenSampled {
        /// Name of the event.
        event: String,
        /// Which occurrences.
        sampling: Sampling,
        /// Only this thread.
        pid: Option<i32>,
        /// Only this CPU.
        cpu: Option<u32>,
    },
    /// Open a regular file for reading, as this user would. Since version 2.
    OpenPath {
        /// Absolute path.
        path: String,
        /// Among the files of this process, from its root on, and not of the service.
        container_pid: Option<i32>,
        /// User.
        uid: u32,
        /// Primary group.
        gid: u32,
        /// Supplementary groups.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        groups: Vec<u32>,
    },
    /// Say what an XDP program is. Since version 2.
    DescribeXdp {
        /// Kernel id of the program.
        program_id: u32,
        /// Index of the interface it is on: libxdp calls a directory by both.
        ifindex: u32,
    },
    /// Put a program on a hook of netfilter; the network namespace and the program are beside the message. Since version 2.
    CreateNetfilterLink {
        /// Where.
        place: NetfilterPlace,
        /// Kernel id of the program, for messages.
        program_id: u32,
    },
    /// Open a netlink socket for the filters of the network namespace beside the message. Since version 2.
    OpenNetlink,
    /// Note an interface in the map that is its witness; the network namespace and the map are beside the message. Since
    /// version 2.
    NoteInterface {
        /// Index of the interface.
        ifindex: u32,
        /// Its name, for messages.
        interface: String,
    },
    /// Make a volume of the maps beside the message. Since version 2.
    PublishVolume {
        /// Which, and where.
        place: VolumePlace,
        /// Names of the maps, in the order of the descriptors.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        maps: Vec<String>,
        /// Who may do what.
        access: VolumeAccess,
    },
    /// Take a volume away. Since version 2.
    UnpublishVolume {
        /// Which, and where.
        place: VolumePlace,
    },
    /// Say what is on hooks of tcx and netkit; the network namespace is beside the message. Since version 2.
    ListMprog {
        /// Index of the interface.
        ifindex: u32,
        /// Which hooks.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        hooks: Vec<MprogHook>,
    },
    /// Take libxdp's lock and open what libxdp has on an interface. Since version 2.
    OpenLibxdp {
        /// Index of the interface.
        ifindex: u32,
        /// Kernel id of the program on it, if there is one.
        program_id: Option<u32>,
    },
    /// Pin a dispatcher where libxdp looks for it: programs and links of its members are beside the message, in turn, in the
    /// order in which they run. Since version 2.
    PublishLibxdp {
        /// Index of the interface.
        ifindex: u32,
        /// Kernel id of the dispatcher.
        dispatcher: u32,
    },
    /// Take the pins of a dispatcher away. Since version 2.
    RetireLibxdp {
        /// Index of the interface.
        ifindex: u32,
        /// Kernel id of the dispatcher.
        dispatcher: u32,
    },
}

/// A dispatcher of libxdp's protocol, as it says of itself.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct LibxdpDispatcher {
    /// Version of the protocol, 0 where it does not say.
    pub version: u8,
    /// Members, in the order in which they run; none for versions other than 2 and 3.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub members: Vec<LibxdpMember>,
}

/// A member of it.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct LibxdpMember {
    /// Kernel id of the program.
    pub program_id: u32,
    /// Kernel id of the link by which it is one; 0 where that is not pinned.
    pub link_id: u32,
    /// Its name, as far as the kernel keeps it (15 bytes).
    pub name: String,
    /// Lower runs first.
    pub priority: u32,
    /// One bit per verdict after which the chain goes on.
    pub proceed_on: u32,
    /// Flags with which the program would be loaded alone: `BPF_F_XDP_HAS_FRAGS` is what matters.
    pub flags: u32,
}

edge!(HelperJob: Hello, OpenTracepoint, OpenUprobe, ChangeGroup, OpenKprobe, FindInterface, CreateXdpLink, CreateMprogLink, OpenSampled, OpenPath, DescribeXdp, CreateNetfilterLink, OpenNetlink, NoteInterface, PublishVolume, UnpublishVolume, ListMprog, OpenLibxdp, PublishLibxdp, RetireLibxdp);

/// Helper to loader.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum HelperResult {
    /// Since version 1.
    Hello(Hello),
    /// The descriptor asked for is beside the message.
    Opened,
    /// The files have the group, or the map the interface.
    Changed,
    /// It could not be done.
    Failed(Failure),
    /// The interface is there. Since version 2.
    Interface {
        /// Its index.
        ifindex: u32,
    },
    /// The link is beside the message. Since version 2.
    XdpLink {
        /// How the kernel runs the program.
        mode: XdpMode,
    },
    /// What the XDP program is. Since version 2.
    XdpProgram {
        /// Its name, as far as the kernel keeps it (15 bytes).
        name: String,
        /// If it is a dispatcher of libxdp's protocol.
        dispatcher: Option<ForeignDispatcher>,
    },
    /// The volume is there, or gone. Since version 2.
    Volume,
    /// Kernel ids of programs on each hook, in running order; `None` where the interface has no such hook. Since version 2.
    OnMprog(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<Option<Vec<u32>>>),
    /// Not now: somebody else has libxdp's lock, or the directory for it was only made. Since version 2.
    LibxdpBusy,
    /// What libxdp has on the interface. Beside it are the lock, the program on the interface, and those of its members.
    /// Since version 2.
    Libxdp {
        /// `None`: nothing is on the interface.
        dispatcher: Option<LibxdpDispatcher>,
    },
}

edge!(HelperResult: Hello, Opened, Changed, Failed, Interface, XdpLink, XdpProgram, Volume, OnMprog, LibxdpBusy, Libxdp);
