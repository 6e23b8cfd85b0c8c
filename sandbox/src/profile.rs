//! What a process keeps. Whatever is not listed here is given up.

use crate::seccomp::Policy;
use caps::Capability;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// What a process keeps.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Who enters, for messages.
    pub role: &'static str,
    /// Who the process is from then on.
    pub identity: Identity,
    /// The permitted and the effective set. Inheritable, ambient and bounding sets end empty: nothing is ever executed.
    pub capabilities: Vec<Capability>,
    /// Descriptors that stay open; each must be. All others are closed.
    pub descriptors: Vec<RawFd>,
    /// Where the process is, and what it thereby keeps in the kernel's memory.
    pub working_directory: PathBuf,
    /// What may be opened. A rule holds for an inode: file systems that make new ones for the same name (/proc beneath its
    /// root) need something that keeps the inode, or the rule is lost when memory becomes short.
    pub paths: Vec<PathRule>,
    /// What may be connected to.
    pub network: Network,
    /// Which system calls may be made.
    pub seccomp: Policy,
    /// How much may be used.
    pub limits: ResourceLimits,
    /// Whether the process is killed when its parent ends.
    pub parent_death_signal: bool,
    /// Whether Landlock confines the process.
    pub landlock: Landlock,
}

/// Whether Landlock confines a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Landlock {
    /// By the profile's paths and network; this is the oldest ABI that is good enough.
    AtLeast(u8),
    /// Not at all: Landlock forbids, whatever its rules are, what the process is for. Then the system call policy is all that
    /// there is, and the profile says why.
    Without,
}

/// User and groups.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// What may be done beneath a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathRule {
    /// A directory with all beneath it, or a file.
    pub path: PathBuf,
    /// What may be done.
    pub access: Access,
    /// Whether the process may not work without it. Others are left out when they are missing or out of reach.
    pub required: bool,
}

impl PathRule {
    /// A path without which the process cannot work.
    pub fn required(path: impl Into<PathBuf>, access: Access) -> Self {
        Self {
            path: path.into(),
            access,
            required: true,
        }
    }

    /// A path that some kernels or machines do not have.
    pub fn optional(path: impl Into<PathBuf>, access: Access) -> Self {
        Self {
            path: path.into(),
            access,
            required: false,
        }
    }
}

/// Shorthands for sets of Landlock rights; `steps::landlock` spells them out. Nothing may be executed by any of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Make directories, and nothing in them.
    MakeDirectories,
    /// Read files, list directories.
    Read,
    /// Also write, create, remove, rename, truncate files and directories; no links, devices, pipes, sockets.
    ReadWrite,
    /// Also create sockets.
    ReadWriteSockets,
}

/// TCP, where the kernel can restrict it (6.7). Other protocols are fenced by the system call policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Network {
    /// Neither bind nor connect.
    None,
    /// Connect to any port, bind to none.
    TcpConnect,
}

/// Bounds for the kernel to keep. Hard limits are only ever lowered, so no capability is needed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResourceLimits {
    /// RLIMIT_NOFILE.
    pub open_files: u64,
    /// RLIMIT_AS in bytes.
    pub address_space: Option<u64>,
    /// RLIMIT_FSIZE in bytes.
    pub file_bytes: Option<u64>,
    /// RLIMIT_NPROC: processes and threads of the user id, so only for an id that nothing else uses.
    pub processes: Option<u64>,
}
