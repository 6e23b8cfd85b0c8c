//! The kernel, by bpf(2) and perf_event_open(2) alone.
//!
//! Every function returns an owned descriptor or plain data and keeps no state; the one exception is [`probe`], which
//! remembers what this kernel was found to be able to do. `unsafe` is confined to [`sys`].
//!
//! What is deliberately absent: knowledge of object files, of records and of policy. A plan comes in, descriptors go out.

pub mod btf;
pub mod by_id;
pub mod clsact;
pub mod cpus;
pub mod error;
pub mod functions;
pub mod info;
pub mod interfaces;
pub mod limits;
pub mod link;
pub mod map;
pub mod memlock;
pub mod name;
pub mod namespaces;
pub mod netlink;
pub mod perf;
pub mod pin;
pub mod probe;
pub mod program;
pub mod query;
pub mod sampled_events;
pub mod suggest;
mod sys;
pub mod tracepoints;
pub mod witness;
pub mod xdp_hook;

pub use error::Error;
