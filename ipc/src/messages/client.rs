//! bpfmanctl ⇄ API worker.

use super::attach::{AttachSpec, Link, LinkEntry};
use super::chain::{Chain, Dispatcher, HookKey, HookView, Strategy};
use super::edge;
use super::failure::Failure;
use super::hello::Hello;
use super::kernel::{ForeignLink, KernelMap, KernelProgram};
use super::loader::DoctorReport;
use super::program::{LoadOptions, Program, ProgramEntry, TypedGlobal};
use super::pull::{CachedImage, Progress, PullPolicy};
use super::supervision::ProcessStatus;
use bincode::{Decode, Encode};
use std::collections::BTreeMap;

/// Client to API worker.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum ClientRequest {
    /// Since version 1.
    Hello(Hello),
    /// Load programs; beside it the open object file.
    Load(#[cfg_attr(test, proptest(strategy = "crate::messages::one()"))] LoadOptions),
    /// One program.
    GetProgram {
        /// Kernel program id.
        program_id: u32,
    },
    /// All managed programs.
    ListPrograms,
    /// Detach all links of a program and forget it.
    Unload {
        /// Kernel program id.
        program_id: u32,
    },
    /// Attach a program; beside it the open target, for uprobes.
    Attach {
        /// Kernel program id.
        program_id: u32,
        /// Where.
        #[cfg_attr(test, proptest(strategy = "crate::messages::one()"))]
        spec: AttachSpec,
        /// Labels of the link.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few_labels()"))]
        metadata: BTreeMap<String, String>,
    },
    /// Detach a link.
    Detach {
        /// bpfman's link id.
        link_id: u64,
    },
    /// One link.
    GetLink {
        /// bpfman's link id.
        link_id: u64,
    },
    /// All links.
    ListLinks,
    /// Every process of the service.
    Status,
    /// Compare store, pins and kernel.
    Doctor,
    /// All programs in the kernel, whoever loaded them. Since version 2.
    ListKernelPrograms,
    /// All maps in the kernel, whoever made them. Since version 2.
    ListKernelMaps,
    /// All links in the kernel, whoever made them. Since version 2.
    ListKernelLinks,
    /// As `Attach`, in the network namespace whose open file is beside the message. Since version 2.
    AttachInNamespace {
        /// Kernel program id.
        program_id: u32,
        /// Where.
        #[cfg_attr(test, proptest(strategy = "crate::messages::one()"))]
        spec: AttachSpec,
        /// What the user called the namespace's file; shown, never opened.
        netns: String,
        /// Labels of the link.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few_labels()"))]
        metadata: BTreeMap<String, String>,
    },
    /// All hooks on which bpfman orders the programs. Since version 2.
    ListDispatchers,
    /// One of them with its members. Since version 2.
    GetDispatcher {
        /// Which.
        key: HookKey,
    },
    /// Has the programs of a hook called in another way. Since version 2.
    ConvertChain {
        /// Which hook.
        key: HookKey,
        /// How; `None` lets bpfman choose.
        strategy: Option<Strategy>,
    },
    /// Everything on the hooks of an interface; beside it the open file of its network namespace, where that is another than
    /// bpfman's own. Since version 2.
    ShowHooks {
        /// Its name.
        interface: String,
        /// What the user calls the namespace of the file.
        netns: Option<String>,
    },
    /// `Load` with values of global variables that have types. Since version 2.
    LoadTyped {
        /// What `Load` has.
        options: LoadOptions,
        /// What the values of some global variables were given as.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        types: Vec<TypedGlobal>,
    },
    /// Load programs from an image; beside it, where there are any, the credentials for its registry. Since version 2.
    LoadImage {
        /// What `Load` has; the source is an image.
        options: LoadOptions,
        /// What the values of some global variables were given as.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        types: Vec<TypedGlobal>,
    },
    /// Have an image in the cache; beside it, where there are any, the credentials for its registry. Since version 2.
    PullImage {
        /// The reference as the user wrote it.
        url: String,
        /// When the registry is asked.
        policy: PullPolicy,
    },
    /// How far the download of an image is. Since version 2.
    PullProgress {
        /// The reference as the user wrote it.
        url: String,
    },
    /// Images in the cache. Since version 2.
    ListImages,
    /// Remove images from the cache. Since version 2.
    PruneImages {
        /// SHA-256 of the manifests of images that stay.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        keep: Vec<[u8; 32]>,
    },
}

edge!(ClientRequest: Hello, Load, GetProgram, ListPrograms, Unload, Attach, Detach, GetLink, ListLinks, Status, Doctor, ListKernelPrograms, ListKernelMaps, ListKernelLinks, AttachInNamespace, ListDispatchers, GetDispatcher, ConvertChain, ShowHooks, LoadTyped, LoadImage, PullImage, PullProgress, ListImages, PruneImages);

/// API worker to client. Every request has exactly one answer.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum ClientReply {
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
    /// To `Status`.
    Status(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<ProcessStatus>),
    /// To `Doctor`.
    Doctor(DoctorReport),
    /// To `ListKernelPrograms`, ascending by id. Since version 2.
    KernelPrograms(
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<KernelProgram>,
    ),
    /// To `ListKernelMaps`, ascending by id. Since version 2.
    KernelMaps(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<KernelMap>),
    /// To `ListKernelLinks`, ascending by id. Since version 2.
    KernelLinks(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<ForeignLink>),
    /// To `ListDispatchers`, by kind, namespace and interface.
    Dispatchers(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<Dispatcher>),
    /// To `GetDispatcher` and `ConvertChain`.
    Chain(#[cfg_attr(test, proptest(strategy = "crate::messages::boxed()"))] Box<Chain>),
    /// To `ShowHooks`.
    Hooks(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<HookView>),
    /// To `PullImage`.
    Pulled(#[cfg_attr(test, proptest(strategy = "crate::messages::boxed()"))] Box<CachedImage>),
    /// To `PullProgress`; nothing when no such download is going on.
    Progress(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<Progress>),
    /// To `ListImages`, by reference.
    Images(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<CachedImage>),
    /// To `PruneImages`.
    Pruned {
        /// Images removed.
        images: u32,
        /// Bytes given back.
        bytes: u64,
    },
}

edge!(ClientReply: Hello, Failed, Done, Loaded, Program, Programs, Link, Links, Status, Doctor, KernelPrograms, KernelMaps, KernelLinks, Dispatchers, Chain, Hooks, Pulled, Progress, Images, Pruned);
