//! What the system tests stand on: a whole bpfman in directories and a network namespace of its own.
//!
//! Tests run as root, start the real programs, and look at the result from outside: through `bpfmanctl`, through the raw
//! socket, through pins as an unprivileged user, and through /proc. They run one after the other, because some of them
//! compare what is in the kernel before and after.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start processes, enter namespaces and read the environment"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness that cannot do its work fails its test"
)]

pub mod authority;
pub mod binaries;
pub mod cgroup;
pub mod ctl;
pub mod elf;
pub mod every_edge;
pub mod every_image;
pub mod every_signature;
pub mod fixture;
pub mod go_target;
pub mod grpc;
pub mod hostile;
pub mod instance;
pub mod kernel;
pub mod leftovers;
pub mod maps;
pub mod matrix;
pub mod netkit;
pub mod netns;
pub mod overlay;
pub mod per_packet;
pub mod process;
pub mod registry;
pub mod signature;
pub mod skip;
pub mod traffic;
pub mod uprobe_target;
pub mod volumes;
pub mod wait;
pub mod wire;
