//! rtnetlink, as far as bpfman needs it: what is on the hooks of an interface that bpf(2) does not know.
//!
//! Messages are put together and taken apart here, because the few that are needed are small, and a library for all of
//! rtnetlink would be the largest part of the one privileged process.

mod message;
mod socket;

pub use socket::{Socket, descriptor};

pub(in crate::kernel) use message::{Message, attributes, text, word};

/// `NLM_F_*` of `linux/netlink.h`.
pub(in crate::kernel) const ACKNOWLEDGE: u16 = 0x4;
pub(in crate::kernel) const DUMP: u16 = 0x300;
pub(in crate::kernel) const EXCLUSIVE: u16 = 0x200;
pub(in crate::kernel) const CREATE: u16 = 0x400;
