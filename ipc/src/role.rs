//! The processes that exchange messages.

use bincode::{Decode, Encode};

/// Who stands at one end of a link. The number is the one on the wire: append only.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Role {
    /// `bpfmand`: starts, watches and restarts workers; holds no capability.
    Supervisor,
    /// `bpfman-loader`: the only process with CAP_BPF.
    Loader,
    /// `bpfman-image`: object files and images to load plans.
    Image,
    /// `bpfman-api`: client sessions.
    Api,
    /// `bpfmanctl` and other local clients.
    Client,
    /// `bpfman-loader` started for exactly one privileged operation.
    Helper,
}

impl Role {
    /// Every role, in the order of their numbers.
    pub const ALL: [Role; 6] = [
        Role::Supervisor,
        Role::Loader,
        Role::Image,
        Role::Api,
        Role::Client,
        Role::Helper,
    ];

    /// The long-lived workers, in the order in which they are started.
    pub const WORKERS: [Role; 3] = [Role::Loader, Role::Image, Role::Api];

    /// The name in logs and in `bpfmanctl status`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Supervisor => "supervisor",
            Role::Loader => "loader",
            Role::Image => "image",
            Role::Api => "api",
            Role::Client => "client",
            Role::Helper => "helper",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}
