//! API worker ⇄ image worker, and image worker ⇄ loader.

use super::attach::ProbePlace;
use super::edge;
use super::failure::Failure;
use super::hello::Hello;
use super::loader::Ticket;
use super::program::{GlobalValue, ProgramRequest, TypedGlobal};
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
}

edge!(ImageRequest: Hello, Compile, ResolveSymbol, CompileIterators, ResolveFunctions, ResolveUsdt);

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
}

edge!(ImageReply: Hello, Failed, Delivered, Symbol, Places);

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
}

edge!(PlanDelivery: Hello, Plan, NoPlan);

/// Loader to image worker: only its greeting. The loader asks nothing of the image worker.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum PlanReceipt {
    /// Since version 1.
    Hello(Hello),
}

edge!(PlanReceipt: Hello);
