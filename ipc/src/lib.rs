//! What bpfman's processes say to one another, and how.
//!
//! One frame is a fixed header ([`frame`]) followed by one bincode value ([`codec`]); descriptors travel beside it
//! ([`descriptors`]). Every pair of processes that talks has one enum per direction ([`messages`]), and a constant table
//! ([`permissions`]) says who may send which of them when, how large, and with how many descriptors. The table is
//! consulted before a byte of the body is decoded.
//!
//! Workers use [`link`] and [`call`] (tokio); `bpfmanctl`, the one-shot helper and tests use [`blocking`].
//!
//! What is deliberately absent: knowledge of what a message means. Nothing here decides, loads or stores.

mod admission;
pub mod blocking;
pub mod boot_time;
pub mod build;
pub mod call;
pub mod cgroup_hooks;
pub mod codec;
pub mod descriptors;
pub mod frame;
pub mod limits;
pub mod link;
pub mod messages;
pub mod peer;
pub mod permissions;
pub mod plan;
pub mod process_root;
pub mod regular_file;
pub mod role;
