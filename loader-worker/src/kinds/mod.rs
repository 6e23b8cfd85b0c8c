//! Kinds of attachment: one file each behind one trait. In this crate a new kind is a file and its line in [`of`];
//! everything else that the loader has to know of it is a method of [`Kind`]. What it takes in the other crates stands in
//! ARCHITECTURE.md.
//!
//! Attaching has two phases, both without waiting: [`Kind::prepare`] finds out everything that can be found out without
//! changing the kernel, and says if the one-shot helper is needed; [`Kind::attach`] makes the link. Between the two the
//! engine gets the helper's descriptor, if one was asked for.

pub mod cgroup;
pub mod chained;
pub mod detach;
pub mod fentry;
pub mod iter;
pub mod kprobe;
pub mod kprobe_multi;
pub mod lsm;
pub mod mprog;
pub mod netfilter;
pub mod perf_event;
pub mod raw_tracepoint;
pub mod sk_lookup;
pub mod tp_btf;
pub mod tracepoint;
pub mod uprobe;
pub mod uprobe_multi;

mod interface;

use crate::helpers::Done;
use crate::kernel::probe::Missing;
use crate::kernel::{Error, info};
use crate::network_namespace::NetworkPlace;
use ipc::messages::attach::{AttachSpec, LinkDetails, LinkRecord, ProbePlace};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::kernel::KernelLink;
use ipc::messages::program::{ProgramKind, ProgramRecord};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

pub use detach::{Release, detach};

/// What is to be attached, and where.
#[derive(Clone, Copy)]
pub struct AttachRequest<'a> {
    /// The program.
    pub program: BorrowedFd<'a>,
    /// Its record.
    pub record: &'a ProgramRecord,
    /// Where.
    pub spec: &'a AttachSpec,
    /// What the client opened: the file of a uprobe, the directory of a control group.
    pub target: Option<Target<'a>>,
    /// Where in the network the hook is, for kinds that say so ([`Kind::network`]).
    pub network: Option<&'a NetworkPlace>,
    /// bpfman's links. Those on other hooks do not matter and may be in it.
    pub links: &'a [LinkRecord],
}

/// An open file or directory.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Opened by whoever has the right to.
    pub file: BorrowedFd<'a>,
    /// Where the probes sit, if it is a file for them.
    pub places: &'a [ProbePlace],
}

/// An attach that is ready but for, perhaps, a descriptor of the helper's.
#[derive(Debug)]
pub enum Prepared {
    /// Nothing is missing.
    Ready(Hook),
    /// This process lacks the right to open the perf event, or is in another network namespace: a helper has to be given
    /// this job, with these descriptors.
    NeedsHelper {
        /// Which helper.
        kind: HelperKind,
        /// The job.
        job: HelperJob,
        /// Beside it.
        descriptors: Vec<OwnedFd>,
        /// What to attach to with what the helper did.
        hook: Hook,
    },
}

impl Prepared {
    /// The hook, whoever opens what it takes.
    pub fn into_hook(self) -> Hook {
        match self {
            Prepared::Ready(hook) | Prepared::NeedsHelper { hook, .. } => hook,
        }
    }
}

/// Where in the network hooks of a kind are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Network<'a> {
    /// Not in a network namespace.
    Nowhere,
    /// The namespace itself.
    Namespace,
    /// The interface of this name.
    Interface(&'a str),
}

/// A hook that was found.
#[derive(Debug)]
pub enum Hook {
    /// An interface.
    Interface {
        /// Its index.
        ifindex: u32,
        /// Inode of the namespace.
        nsid: u64,
    },
    /// A perf event: this one, or that of the helper.
    PerfEvent(Option<OwnedFd>),
    /// The file of the request.
    File,
    /// What the program was loaded for, or what the kernel finds itself.
    Fixed,
}

/// A link that exists but is not pinned: dropping it undoes the attach.
#[derive(Debug)]
pub struct Attached {
    /// The link.
    pub link: OwnedFd,
    /// For the record.
    pub details: LinkDetails,
    /// Kind of the link.
    pub kind: ProgramKind,
    /// What the kernel says about it.
    pub kernel: KernelLink,
}

/// One kind of attachment.
pub trait Kind: Sync {
    /// Checks how long the texts and lists of the request are. A kind that has any must say so, with the functions of
    /// [`crate::request`].
    fn bounds(&self, _: &AttachSpec) -> Result<(), Failure> {
        Ok(())
    }

    /// Where in the network the hook is; found before [`Kind::prepare`].
    fn network<'a>(&self, _: &'a AttachSpec) -> Network<'a> {
        Network::Nowhere
    }

    /// Checks the request and finds the hook. Changes nothing.
    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure>;

    /// Makes the link. `helper` is what the helper did, if [`Prepared::NeedsHelper`] asked for it.
    fn attach(
        &self,
        request: &AttachRequest<'_>,
        hook: Hook,
        helper: Option<Done>,
    ) -> Result<Attached, Failure>;

    /// Where the link is pinned, below bpfman's bpffs. The layout is part of the contract with tools that look there.
    fn pin(&self, link_id: u64, _program_id: u32, _: &LinkDetails) -> PathBuf {
        pin_by_id(link_id)
    }
}

/// The kind of an attach request.
pub fn of(spec: &AttachSpec) -> &'static dyn Kind {
    match spec {
        AttachSpec::Tcx { .. } => &mprog::TCX,
        AttachSpec::Xdp { .. } | AttachSpec::XdpGuest { .. } => &chained::Xdp,
        AttachSpec::Tracepoint { .. } => &tracepoint::Tracepoint,
        AttachSpec::Uprobe { .. } => &uprobe::Uprobe,
        AttachSpec::Kprobe { .. } => &kprobe::Kprobe,
        AttachSpec::Fentry => &fentry::Fentry,
        AttachSpec::Fexit => &fentry::Fexit,
        AttachSpec::Lsm => &lsm::Lsm,
        AttachSpec::RawTracepoint { .. } => &raw_tracepoint::RawTracepoint,
        AttachSpec::TpBtf => &tp_btf::TpBtf,
        AttachSpec::Iter => &iter::Iter,
        AttachSpec::SkLookup => &sk_lookup::SkLookup,
        AttachSpec::Cgroup { .. } => &cgroup::Cgroup,
        AttachSpec::PerfEvent { .. } => &perf_event::PerfEvent,
        AttachSpec::Tc { .. } => &chained::Tc,
        AttachSpec::KprobeMulti { .. } => &kprobe_multi::KprobeMulti,
        AttachSpec::UprobeMulti { .. } => &uprobe_multi::UprobeMulti,
        AttachSpec::Usdt { .. } => &uprobe_multi::Usdt,
        AttachSpec::Netfilter(_) => &netfilter::Netfilter,
        AttachSpec::Netkit { .. } => &mprog::NETKIT,
    }
}

/// See [`Kind::prepare`].
pub fn prepare(request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
    of(request.spec).prepare(request)
}

/// Makes the link; see [`Kind::attach`].
pub fn attach(
    request: &AttachRequest<'_>,
    hook: Hook,
    helper: Option<Done>,
) -> Result<Attached, Failure> {
    of(request.spec).attach(request, hook, helper)
}

/// A link that has been made, with what the kernel says about it.
fn attached(link: OwnedFd, kind: ProgramKind, details: LinkDetails) -> Result<Attached, Failure> {
    let kernel = info::link(link.as_fd())
        .map_err(|error| error.into_failure(Stage::Attach, "the new link"))?;
    Ok(Attached {
        link,
        details,
        kind,
        kernel,
    })
}

/// Where the links of most kinds are pinned.
fn pin_by_id(link_id: u64) -> PathBuf {
    Path::new("links").join(link_id.to_string())
}

/// The function or hook that the program was loaded for.
fn fixed_target(request: &AttachRequest<'_>) -> Result<String, Failure> {
    request
        .record
        .attach_function
        .clone()
        .ok_or_else(|| mismatched(request.spec))
}

/// A request that is wrong whatever the state.
fn invalid(stage: Stage, cause: impl Into<String>) -> Failure {
    Failure::new(FailureCode::InvalidArgument, stage, cause)
}

/// What the kernel was found not to have.
fn unsupported(missing: &Missing) -> Failure {
    Failure::new(FailureCode::Unsupported, Stage::Attach, missing.to_string())
}

/// The engine called a kind with what another kind had prepared.
fn mismatched(spec: &AttachSpec) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Attach,
        format!(
            "the {} attach was given a hook of another kind",
            spec.name()
        ),
    )
}

/// A refused attach, named by program and hook.
fn refused(error: Error, request: &AttachRequest<'_>, hook: &str) -> Failure {
    error.into_failure(
        Stage::Attach,
        format!("attaching program {} to {hook}", request.record.program_id),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::limits::{NAME_BYTES, PATH_BYTES, PROBE_PLACES};
    use ipc::messages::attach::{Direction, Sampling};
    use ipc::messages::mprog::NetkitHook;

    /// Requests of each kind that has texts, with one of this length.
    fn with_text(name: &str, path: &str) -> Vec<AttachSpec> {
        let uprobe = |target: &str, path: &str, function: &str| AttachSpec::Uprobe {
            target: target.into(),
            path: path.into(),
            function: Some(function.into()),
            offset: 0,
            pid: None,
            container_pid: None,
        };
        let tracepoint = |group: &str, name: &str| AttachSpec::Tracepoint {
            group: group.into(),
            name: name.into(),
        };
        vec![
            AttachSpec::Tcx {
                interface: name.into(),
                direction: Direction::Ingress,
                priority: 0,
            },
            AttachSpec::Netkit {
                interface: name.into(),
                hook: NetkitHook::Peer,
                priority: 0,
            },
            AttachSpec::Xdp {
                interface: name.into(),
                priority: 0,
                proceed_on: vec![],
                strategy: None,
            },
            AttachSpec::XdpGuest {
                interface: name.into(),
                priority: 0,
                proceed_on: vec![],
            },
            tracepoint(name, "n"),
            tracepoint("g", name),
            AttachSpec::RawTracepoint { name: name.into() },
            AttachSpec::Kprobe {
                function: name.into(),
                offset: 0,
            },
            uprobe(path, "p", "f"),
            uprobe("t", path, "f"),
            uprobe("t", "p", name),
            AttachSpec::Cgroup {
                kind: ProgramKind::CgroupSkb,
                path: path.into(),
            },
            AttachSpec::KprobeMulti {
                functions: vec!["f".into(), name.into()],
            },
            AttachSpec::UprobeMulti {
                target: path.into(),
                path: "p".into(),
                functions: vec![],
                pid: None,
                container_pid: None,
            },
            AttachSpec::UprobeMulti {
                target: "t".into(),
                path: "p".into(),
                functions: vec![name.into()],
                pid: None,
                container_pid: None,
            },
            AttachSpec::Usdt {
                target: "t".into(),
                path: path.into(),
                provider: "p".into(),
                name: "n".into(),
                pid: None,
                container_pid: None,
            },
            AttachSpec::Usdt {
                target: "t".into(),
                path: "p".into(),
                provider: "p".into(),
                name: name.into(),
                pid: None,
                container_pid: None,
            },
            AttachSpec::PerfEvent {
                event: name.into(),
                sampling: Sampling::Period(1),
                pid: None,
                cpu: None,
            },
        ]
    }

    #[test]
    fn texts_and_lists_are_bounded() {
        let (name, path) = ("n".repeat(NAME_BYTES), "p".repeat(PATH_BYTES));
        for spec in with_text(&name, &path) {
            assert_eq!(of(&spec).bounds(&spec), Ok(()), "{}", spec.name());
        }
        for spec in with_text(&(name + "n"), &(path + "p")) {
            let failure = of(&spec).bounds(&spec).expect_err(spec.name());
            assert_eq!(failure.code, FailureCode::InvalidArgument);
        }
        let functions = |count| AttachSpec::KprobeMulti {
            functions: vec!["f".into(); count],
        };
        let bounds = |count| kprobe_multi::KprobeMulti.bounds(&functions(count));
        assert!(bounds(PROBE_PLACES).is_ok());
        assert!(bounds(PROBE_PLACES + 1).is_err());
        let verdicts = |count| AttachSpec::Xdp {
            interface: "lo".into(),
            priority: 0,
            proceed_on: vec![2; count],
            strategy: None,
        };
        assert!(chained::Xdp.bounds(&verdicts(32)).is_ok());
        assert!(chained::Xdp.bounds(&verdicts(33)).is_err());
    }

    #[test]
    fn links_are_pinned_by_their_id_unless_a_kind_says_otherwise() {
        let details = LinkDetails::Iter {
            target: "task".into(),
        };
        assert_eq!(iter::Iter.pin(7, 42, &details), Path::new("links/7"));
    }
}
