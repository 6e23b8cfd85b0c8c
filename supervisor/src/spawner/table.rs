//! The processes that can be started, and no others.

use ipc::messages::helper::HelperKind;
use ipc::role::Role;

/// A row of the worker table. The number is the command byte that starts it. Each has at most one process at a time.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Entry {
    /// `bpfman-loader`.
    Loader,
    /// `bpfman-image`.
    Image,
    /// `bpfman-api`.
    Api,
    /// `bpfman-loader` as the one-shot helper that opens perf events.
    HelperPerf,
    /// `bpfman-loader` as the one-shot helper that changes the group of pins.
    HelperGroup,
    /// `bpfman-loader` as the one-shot helper that acts in another network namespace.
    HelperNetns,
    /// `bpfman-loader` as the one-shot helper that opens a path with the identity of a client.
    HelperOpen,
    /// `bpfman-loader` as the one-shot helper that looks at an XDP program of somebody else.
    HelperXdp,
    /// `bpfman-loader` as the one-shot helper that opens a path among the files of another process.
    HelperContainer,
    /// `bpfman-loader` as the one-shot helper that mounts volumes of pods.
    HelperMount,
    /// `bpfman-loader` as the one-shot helper that takes part in dispatchers of libxdp.
    HelperLibxdp,
}

impl Entry {
    /// Every row.
    pub const ALL: [Entry; 11] = [
        Entry::Loader,
        Entry::Image,
        Entry::Api,
        Entry::HelperPerf,
        Entry::HelperGroup,
        Entry::HelperNetns,
        Entry::HelperOpen,
        Entry::HelperXdp,
        Entry::HelperContainer,
        Entry::HelperMount,
        Entry::HelperLibxdp,
    ];

    /// The row with this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    /// The number of the row.
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// The row of a long-lived worker; `None` for roles that are not workers.
    pub fn of_worker(role: Role) -> Option<Self> {
        match role {
            Role::Loader => Some(Entry::Loader),
            Role::Image => Some(Entry::Image),
            Role::Api => Some(Entry::Api),
            Role::Supervisor | Role::Client | Role::Helper => None,
        }
    }

    /// The row of a one-shot helper.
    pub fn of_helper(kind: HelperKind) -> Self {
        match kind {
            HelperKind::PerfEvent => Entry::HelperPerf,
            HelperKind::ChangeGroup => Entry::HelperGroup,
            HelperKind::NetworkNamespace => Entry::HelperNetns,
            HelperKind::OpenPath => Entry::HelperOpen,
            HelperKind::DescribeXdp => Entry::HelperXdp,
            HelperKind::OpenInContainer => Entry::HelperContainer,
            HelperKind::MountVolume => Entry::HelperMount,
            HelperKind::Libxdp => Entry::HelperLibxdp,
        }
    }

    /// The long-lived worker of the row; `None` for helpers.
    pub fn worker(self) -> Option<Role> {
        match self {
            Entry::Loader => Some(Role::Loader),
            Entry::Image => Some(Role::Image),
            Entry::Api => Some(Role::Api),
            Entry::HelperPerf
            | Entry::HelperGroup
            | Entry::HelperNetns
            | Entry::HelperOpen
            | Entry::HelperXdp
            | Entry::HelperContainer
            | Entry::HelperMount
            | Entry::HelperLibxdp => None,
        }
    }

    /// The name in log lines.
    pub fn name(self) -> &'static str {
        match self {
            Entry::Loader => "loader",
            Entry::Image => "image",
            Entry::Api => "api",
            Entry::HelperPerf => "helper-perf",
            Entry::HelperGroup => "helper-group",
            Entry::HelperNetns => "helper-netns",
            Entry::HelperOpen => "helper-open",
            Entry::HelperXdp => "helper-xdp",
            Entry::HelperContainer => "helper-container",
            Entry::HelperMount => "helper-mount",
            Entry::HelperLibxdp => "helper-libxdp",
        }
    }

    /// The file name of the binary in the worker directory.
    pub fn binary(self) -> &'static str {
        match self {
            Entry::Loader
            | Entry::HelperPerf
            | Entry::HelperGroup
            | Entry::HelperNetns
            | Entry::HelperOpen
            | Entry::HelperXdp
            | Entry::HelperContainer
            | Entry::HelperMount
            | Entry::HelperLibxdp => "bpfman-loader",
            Entry::Image => "bpfman-image",
            Entry::Api => "bpfman-api",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_names_its_row_and_the_next_one_none() {
        for entry in Entry::ALL {
            assert_eq!(Entry::from_byte(entry.byte()), Some(entry));
        }
        assert_eq!(Entry::from_byte(Entry::ALL.len() as u8), None);
    }

    #[test]
    fn every_worker_has_a_row() {
        for role in Role::WORKERS {
            assert_eq!(Entry::of_worker(role).and_then(Entry::worker), Some(role));
        }
    }
}
