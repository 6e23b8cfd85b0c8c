//! API worker ⇄ loader.

use super::attach::{AttachSpec, Link, LinkEntry, ProbePlace};
use super::chain::{Chain, Dispatcher, HookKey, HookView, Strategy};
use super::edge;
use super::failure::Failure;
use super::hello::Hello;
use super::kernel::Inventory;
use super::program::{LoadOptions, Program, ProgramEntry};
use super::volume::{VolumeAccess, VolumePlace};
use bincode::{Decode, Encode};
use std::collections::BTreeMap;

/// A client connection, numbered by the API worker.
pub type Session = u64;

/// Joins a load request with the plan that the image worker makes for it.
pub type Ticket = u64;

/// API worker to loader.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum LoaderRequest {
    /// Since version 1.
    Hello(Hello),
    /// A client has connected; beside it the client's own socket, from which the loader takes the identity.
    OpenSession {
        /// Number of the session in all that follows.
        session: Session,
    },
    /// The client is gone.
    CloseSession {
        /// The session.
        session: Session,
    },
    /// Load what the plan with this ticket will say.
    Load {
        /// Who asks.
        session: Session,
        /// Which plan.
        ticket: Ticket,
        /// What was asked for.
        #[cfg_attr(test, proptest(strategy = "crate::messages::one()"))]
        options: LoadOptions,
    },
    /// No plan will come for the ticket (the image worker died).
    CancelLoad {
        /// Which plan.
        ticket: Ticket,
    },
    /// Unload a program.
    Unload {
        /// Who asks.
        session: Session,
        /// Kernel program id.
        program_id: u32,
    },
    /// One program.
    GetProgram {
        /// Who asks.
        session: Session,
        /// Kernel program id.
        program_id: u32,
    },
    /// All managed programs.
    ListPrograms {
        /// Who asks.
        session: Session,
    },
    /// Attach a program; beside it what the client opened: the target of a uprobe, a control group, a network namespace.
    Attach {
        /// Who asks.
        session: Session,
        /// Kernel program id.
        program_id: u32,
        /// Where.
        #[cfg_attr(test, proptest(strategy = "crate::messages::one()"))]
        spec: AttachSpec,
        /// Places in the target's file, resolved by the image worker (uprobes).
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        places: Vec<ProbePlace>,
        /// What the client called the network namespace whose open file is beside the message.
        netns: Option<String>,
        /// Labels of the link.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few_labels()"))]
        metadata: BTreeMap<String, String>,
    },
    /// Detach a link.
    Detach {
        /// Who asks.
        session: Session,
        /// bpfman's link id.
        link_id: u64,
    },
    /// One link.
    GetLink {
        /// Who asks.
        session: Session,
        /// bpfman's link id.
        link_id: u64,
    },
    /// All links.
    ListLinks {
        /// Who asks.
        session: Session,
    },
    /// Compare store, pins and kernel.
    Doctor {
        /// Who asks.
        session: Session,
    },
    /// Open the list of all programs, maps or links that are in the kernel. Since version 2.
    OpenIterator {
        /// Who asks.
        session: Session,
        /// Of what.
        of: Inventory,
    },
    /// Install the iterators of the plan with this ticket. Since version 2.
    InstallIterators {
        /// Who asks.
        session: Session,
        /// Which plan.
        ticket: Ticket,
    },
    /// All hooks on which bpfman orders the programs.
    ListDispatchers {
        /// Who asks.
        session: Session,
    },
    /// One of them with its members.
    GetDispatcher {
        /// Who asks.
        session: Session,
        /// Which.
        key: HookKey,
    },
    /// Have the programs of a hook called in another way.
    ConvertChain {
        /// Who asks.
        session: Session,
        /// Which hook.
        key: HookKey,
        /// How; `None` lets the loader choose.
        strategy: Option<Strategy>,
    },
    /// Everything on the hooks of an interface; beside it the open file of its network namespace, where that is another than
    /// the loader's own.
    ShowHooks {
        /// Who asks.
        session: Session,
        /// Its name.
        interface: String,
        /// What the user calls the namespace of the file.
        netns: Option<String>,
    },
    /// Open a path with the identity of the client, which cannot pass a descriptor (gRPC). Since version 2.
    OpenPath {
        /// Who asks.
        session: Session,
        /// Absolute path.
        path: String,
        /// Among the files of this process, from its root on, and not of the service.
        container_pid: Option<i32>,
    },
    /// Make a volume of maps of a program. Since version 2.
    PublishVolume {
        /// Who asks.
        session: Session,
        /// Which, and where.
        place: VolumePlace,
        /// What the program was called by whoever loaded it (`bpfman.io/ProgramName`).
        program: String,
        /// Names of the maps.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        maps: Vec<String>,
        /// Who may do what.
        access: VolumeAccess,
    },
    /// Take a volume away. Since version 2.
    UnpublishVolume {
        /// Who asks.
        session: Session,
        /// Which, and where.
        place: VolumePlace,
    },
    /// Say whether the client may have something done that the loader has no part in. Since version 2.
    Permit {
        /// Who asks.
        session: Session,
        /// What is to be done.
        errand: Errand,
    },
}

/// What the image worker is sent for. It does not know for whom: the loader decides before.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Errand {
    /// Fetch images, or take them out of the cache.
    Images,
    /// See which images there are.
    ShowImages,
    /// Fetch and compile an image that is to be loaded.
    Load,
    /// Look into a binary to which a program is to be attached.
    Attach,
}

edge!(LoaderRequest: Hello, OpenSession, CloseSession, Load, CancelLoad, Unload, GetProgram, ListPrograms, Attach, Detach, GetLink, ListLinks, Doctor, OpenIterator, InstallIterators, ListDispatchers, GetDispatcher, ConvertChain, ShowHooks, OpenPath, PublishVolume, UnpublishVolume, Permit);

/// Loader to API worker. Every request but `CloseSession` and `CancelLoad` has exactly one answer.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum LoaderReply {
    /// Since version 1.
    Hello(Hello),
    /// The request was not carried out.
    Failed(Failure),
    /// Carried out, nothing to tell.
    Done,
    /// To `Load`, in the order of the request.
    Loaded(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<Program>),
    /// To `GetProgram`.
    Program(#[cfg_attr(test, proptest(strategy = "crate::messages::boxed()"))] Box<Program>),
    /// To `ListPrograms`, ascending by id.
    Programs(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<ProgramEntry>),
    /// To `Attach` and `GetLink`.
    Link(#[cfg_attr(test, proptest(strategy = "crate::messages::boxed()"))] Box<Link>),
    /// To `ListLinks`, ascending by id.
    Links(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<LinkEntry>),
    /// To `Doctor`.
    Doctor(DoctorReport),
    /// To `OpenIterator`; beside it the descriptor to read. Since version 2.
    Iterator,
    /// To `OpenIterator`: it has to be installed first. Since version 2.
    NoIterator,
    /// To `ListDispatchers`, by kind, namespace and interface.
    Dispatchers(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<Dispatcher>),
    /// To `GetDispatcher` and `ConvertChain`.
    Chain(#[cfg_attr(test, proptest(strategy = "crate::messages::boxed()"))] Box<Chain>),
    /// To `ShowHooks`.
    Hooks(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<HookView>),
    /// To `OpenPath`; beside it the file. Since version 2.
    PathOpened,
}

edge!(LoaderReply: Hello, Failed, Done, Loaded, Program, Programs, Link, Links, Doctor, Iterator, NoIterator, Dispatchers, Chain, Hooks, PathOpened);

/// Where store, pins and kernel differ. Empty lists mean no drift.
#[derive(Clone, Debug, Default, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct DoctorReport {
    /// Programs and links compared.
    pub checked: u32,
    /// One sentence per difference: what, where, what to do.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub findings: Vec<String>,
}
