//! API worker ⇄ image worker, and image worker ⇄ loader.

use super::attach::ProbePlace;
use super::edge;
use super::failure::Failure;
use super::hello::Hello;
use super::loader::Ticket;
use super::program::{GlobalValue, ProgramRequest, TypedGlobal};
use super::pull::{CachedImage, ImageOrigin, Progress, PullPolicy};
use bincode::{Decode, Encode};

/// API worker to image worker.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum ImageRequest {
    /// Since version 1.
    Hello(Hello),
    /// Compile the object whose open file is beside the message; the plan goes to the loader under the ticket.
    Compile {
        /// Under which the loader awaits the plan.
        ticket: Ticket,
        /// Programs wanted.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        programs: Vec<ProgramRequest>,
        /// Global variables to set.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        globals: Vec<GlobalValue>,
        /// What the values of some of them were given as.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        types: Vec<TypedGlobal>,
    },
    /// Find a function in the binary whose open file is beside the message.
    ResolveSymbol {
        /// What the user calls the binary, for messages.
        target: String,
        /// Function name.
        function: String,
        /// Added to the function's address.
        offset: u64,
    },
    /// Compile bpfman's own iterators for this kernel; the plan goes to the loader under the ticket. Since version 2.
    CompileIterators {
        /// Under which the loader awaits the plan.
        ticket: Ticket,
    },
    /// Find several functions in the binary whose open file is beside the message. Since version 2.
    ResolveFunctions {
        /// What the user calls the binary, for messages.
        target: String,
        /// Function names.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        functions: Vec<String>,
    },
    /// Find a statically defined probe in the binary whose open file is beside the message. Since version 2.
    ResolveUsdt {
        /// What the user calls the binary, for messages.
        target: String,
        /// Provider of the probe.
        provider: String,
        /// Name of the probe.
        name: String,
    },
    /// Have an image in the cache; beside it, where there are any, the credentials for its registry. Since version 2.
    Pull {
        /// The reference as the user wrote it.
        url: String,
        /// When the registry is asked.
        policy: PullPolicy,
    },
    /// As `Pull`, then compile the object in it; the plan goes to the loader under the ticket before the answer is sent.
    /// Since version 2.
    CompileImage {
        /// Under which the loader will await the plan.
        ticket: Ticket,
        /// The reference as the user wrote it.
        url: String,
        /// When the registry is asked.
        policy: PullPolicy,
        /// Programs wanted.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        programs: Vec<ProgramRequest>,
        /// Global variables to set.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        globals: Vec<GlobalValue>,
        /// What the values of some of them were given as.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        types: Vec<TypedGlobal>,
    },
    /// How far the download of an image is. Since version 2.
    PullProgress {
        /// The reference as the user wrote it.
        url: String,
    },
    /// What is in the cache. Since version 2.
    ListImages,
    /// Remove images from the cache. Since version 2.
    PruneImages {
        /// SHA-256 of the manifests of images that stay.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        keep: Vec<[u8; 32]>,
    },
    /// Find a library in the cache of the dynamic linker, whose open file is beside the message. Since version 2.
    FindLibrary {
        /// The name that the user gave, with or without version.
        name: String,
    },
}

edge!(ImageRequest: Hello, Compile, ResolveSymbol, CompileIterators, ResolveFunctions, ResolveUsdt, Pull, CompileImage, PullProgress, ListImages, PruneImages, FindLibrary);

/// Image worker to API worker. Every request has exactly one answer.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum ImageReply {
    /// Since version 1.
    Hello(Hello),
    /// To `ResolveSymbol`: not found, or not an ELF file.
    Failed(Failure),
    /// To `Compile` and `CompileIterators`: the loader has the plan, or the reason why there is none.
    Delivered,
    /// To `ResolveSymbol`.
    Symbol {
        /// Offset in the file at which a probe sits.
        file_offset: u64,
    },
    /// To `ResolveFunctions`, in the order of the functions, and to `ResolveUsdt`. Since version 2.
    Places(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<ProbePlace>),
    /// To `Pull`. Since version 2.
    Pulled(#[cfg_attr(test, proptest(strategy = "crate::messages::boxed()"))] Box<CachedImage>),
    /// To `PullProgress`; nothing when no such download is going on. Since version 2.
    Progress(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<Progress>),
    /// To `ListImages`, by reference. Since version 2.
    Images(#[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<CachedImage>),
    /// To `PruneImages`. Since version 2.
    Pruned {
        /// Images removed.
        images: u32,
        /// Bytes given back.
        bytes: u64,
    },
    /// To `FindLibrary`. Since version 2.
    Library {
        /// Its absolute path.
        path: String,
    },
}

edge!(ImageReply: Hello, Failed, Delivered, Symbol, Places, Pulled, Progress, Images, Pruned, Library);

/// Image worker to loader.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum PlanDelivery {
    /// Since version 1.
    Hello(Hello),
    /// A plan; beside it the sealed memfd that holds it.
    Plan {
        /// Which request it is for.
        ticket: Ticket,
        /// Bytes in the memfd.
        length: u64,
        /// SHA-256 of them.
        digest: [u8; 32],
    },
    /// There is no plan.
    NoPlan {
        /// Which request it was for.
        ticket: Ticket,
        /// Why.
        failure: Failure,
    },
    /// A plan of an object that came from an image; beside it the sealed memfd. Since version 2.
    ImagePlan {
        /// Which request it is for.
        ticket: Ticket,
        /// Bytes in the memfd.
        length: u64,
        /// SHA-256 of them.
        digest: [u8; 32],
        /// Which image, and why it was accepted.
        #[cfg_attr(test, proptest(strategy = "crate::messages::boxed()"))]
        origin: Box<ImageOrigin>,
    },
}

edge!(PlanDelivery: Hello, Plan, NoPlan, ImagePlan);

/// Loader to image worker: only its greeting. The loader asks nothing of the image worker.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum PlanReceipt {
    /// Since version 1.
    Hello(Hello),
}

edge!(PlanReceipt: Hello);
