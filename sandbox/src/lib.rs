//! What every bpfman process gives up before it starts to work.
//!
//! A process calls [`enter`] once, in `main`, before any thread or runtime exists. `enter` is a list of steps; each is a
//! file in `steps`. What a role gives up is declared in [`profiles`], for the process that enters and for the supervisor
//! that checks the report ([`demand`]) alike. System call policies are JSON data with a reason per rule ([`seccomp`]):
//! base lists lie in `sandbox/base`, the rest beside the worker that needs it.
//!
//! What is deliberately absent: a way to leave, a way to widen, and any difference between debug and release builds.

pub mod arguments;
pub mod demand;
mod enter;
mod error;
mod kernel;
pub mod limits;
pub mod logging;
pub mod mode;
mod profile;
pub mod profiles;
mod report;
pub mod seccomp;
pub mod start;
pub mod status;
mod steps;

pub use arguments::{ArgumentError, WorkerArguments};
pub use demand::{Expectation, demand};
pub use enter::enter;
pub use error::EnterError;
pub use mode::Mode;
pub use profile::{Access, Identity, Landlock, Network, PathRule, Profile, ResourceLimits};

pub use caps::Capability;
