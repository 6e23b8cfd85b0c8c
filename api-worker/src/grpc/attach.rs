//! `Attach` as an attach request. Pure.

use super::status::Method;
use crate::proto::attach_info::Info;
use crate::proto::{
    AttachInfo, KprobeAttachInfo, TcAttachInfo, TcxAttachInfo, TracepointAttachInfo,
    UprobeAttachInfo, XdpAttachInfo,
};
use ipc::messages::attach::{AttachSpec, Direction};
use std::collections::BTreeMap;
use tonic::Status;

/// An attach request in the form that `bpfmanctl` makes it, but for the descriptor.
#[derive(Debug)]
pub(super) struct Attach {
    pub(super) spec: AttachSpec,
    /// Path of another network namespace.
    pub(super) netns: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    /// By what its failures are told.
    pub(super) method: Method,
}

impl Attach {
    /// The path that has to be opened, if one has to.
    pub(super) fn path(&self) -> Option<&str> {
        match &self.spec {
            AttachSpec::Uprobe { path, .. } => Some(path),
            _ => self.netns.as_deref(),
        }
    }

    /// The library that is the target, where its path has to be found first.
    pub(super) fn library(&self) -> Option<&str> {
        match &self.spec {
            AttachSpec::Uprobe { target, path, .. } if !path.starts_with('/') => Some(target),
            _ => None,
        }
    }

    /// The process among whose files the target is, where it is not the service's own root.
    pub(super) fn container_pid(&self) -> Option<i32> {
        match &self.spec {
            AttachSpec::Uprobe { container_pid, .. } => *container_pid,
            _ => None,
        }
    }

    /// The path of the library.
    pub(super) fn found(&mut self, library: String) {
        if let AttachSpec::Uprobe { path, .. } = &mut self.spec {
            *path = library;
        }
    }

    fn new(spec: AttachSpec, metadata: BTreeMap<String, String>, method: Method) -> Self {
        Self {
            spec,
            netns: None,
            metadata,
            method,
        }
    }

    fn to_interface(
        spec: AttachSpec,
        netns: Option<String>,
        metadata: BTreeMap<String, String>,
    ) -> Self {
        Self {
            netns: netns.filter(|path| !path.is_empty()),
            ..Self::new(spec, metadata, Method::AttachToInterface)
        }
    }
}

/// Where to attach.
///
/// # Errors
///
/// `InvalidArgument` for what is missing or out of range, `Unimplemented` for an unknown kind of attachment, `Internal` for
/// a uprobe without a place, as the established service has it.
pub(super) fn translate(attach: Option<AttachInfo>) -> Result<Attach, Status> {
    let attach = attach.ok_or_else(|| invalid("`attach` is missing"))?;
    let info = attach.info.ok_or_else(|| {
        Status::unimplemented("`attach` is of no kind that this version of bpfman knows")
    })?;
    Ok(match info {
        Info::XdpAttachInfo(info) => xdp(info),
        Info::TcAttachInfo(info) => tc(info)?,
        Info::TcxAttachInfo(info) => tcx(info)?,
        Info::TracepointAttachInfo(info) => tracepoint(info)?,
        Info::KprobeAttachInfo(info) => kprobe(info),
        Info::UprobeAttachInfo(info) => uprobe(info)?,
        Info::FentryAttachInfo(info) => {
            Attach::new(AttachSpec::Fentry, info.metadata, Method::Attach)
        }
        Info::FexitAttachInfo(info) => {
            Attach::new(AttachSpec::Fexit, info.metadata, Method::Attach)
        }
        Info::LsmAttachInfo(info) => Attach::new(AttachSpec::Lsm, info.metadata, Method::Attach),
    })
}

fn invalid(cause: impl Into<String>) -> Status {
    Status::invalid_argument(cause)
}

fn direction(text: &str) -> Result<Direction, Status> {
    [Direction::Ingress, Direction::Egress]
        .into_iter()
        .find(|direction| direction.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| invalid(format!("\"{text}\" is no direction: use ingress or egress")))
}

fn xdp(info: XdpAttachInfo) -> Attach {
    let spec = AttachSpec::Xdp {
        interface: info.iface,
        priority: info.priority,
        proceed_on: info.proceed_on,
        strategy: None,
    };
    Attach::to_interface(spec, info.netns, info.metadata)
}

fn tc(info: TcAttachInfo) -> Result<Attach, Status> {
    let spec = AttachSpec::Tc {
        interface: info.iface,
        direction: direction(&info.direction)?,
        priority: info.priority,
        proceed_on: info.proceed_on,
        strategy: None,
    };
    Ok(Attach::to_interface(spec, info.netns, info.metadata))
}

fn tcx(info: TcxAttachInfo) -> Result<Attach, Status> {
    let spec = AttachSpec::Tcx {
        interface: info.iface,
        direction: direction(&info.direction)?,
        priority: info.priority,
    };
    Ok(Attach::to_interface(spec, info.netns, info.metadata))
}

fn tracepoint(info: TracepointAttachInfo) -> Result<Attach, Status> {
    let (group, name) = info.tracepoint.split_once('/').ok_or_else(|| {
        invalid(format!(
            "\"{}\" is no tracepoint: give it as GROUP/NAME, for example syscalls/sys_enter_openat",
            info.tracepoint
        ))
    })?;
    let spec = AttachSpec::Tracepoint {
        group: group.to_owned(),
        name: name.to_owned(),
    };
    Ok(Attach::new(spec, info.metadata, Method::AttachToTracepoint))
}

fn kprobe(info: KprobeAttachInfo) -> Attach {
    let spec = AttachSpec::Kprobe {
        function: info.fn_name,
        offset: info.offset,
    };
    Attach::new(spec, info.metadata, Method::Attach)
}

fn uprobe(info: UprobeAttachInfo) -> Result<Attach, Status> {
    if info.target.is_empty() {
        return Err(invalid("the uprobe target is empty"));
    }
    for (what, pid) in [("pid", info.pid), ("container_pid", info.container_pid)] {
        if let Some(pid) = pid.filter(|pid| *pid < 0) {
            return Err(invalid(format!("{what} {pid} is negative")));
        }
    }
    let function = info.fn_name.filter(|name| !name.is_empty());
    if function.is_none() && info.offset == 0 {
        return Err(Status::internal(
            "neither a function nor an offset is given for the uprobe",
        ));
    }
    let spec = AttachSpec::Uprobe {
        path: info.target.clone(),
        target: info.target,
        function,
        offset: info.offset,
        pid: info.pid.filter(|pid| *pid != 0),
        container_pid: info.container_pid.filter(|pid| *pid != 0),
    };
    Ok(Attach::new(spec, info.metadata, Method::Attach))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn code(info: Info) -> Code {
        translate(Some(AttachInfo { info: Some(info) }))
            .unwrap_err()
            .code()
    }

    #[test]
    fn what_is_missing_is_told_by_its_code() {
        assert_eq!(translate(None).unwrap_err().code(), Code::InvalidArgument);
        let unset = Some(AttachInfo { info: None });
        assert_eq!(translate(unset).unwrap_err().code(), Code::Unimplemented);
        let uprobe = |target: &str, pid, offset| {
            code(Info::UprobeAttachInfo(UprobeAttachInfo {
                target: target.to_owned(),
                pid,
                offset,
                ..UprobeAttachInfo::default()
            }))
        };
        assert_eq!(uprobe("", None, 1), Code::InvalidArgument);
        assert_eq!(uprobe("/bin/true", Some(-1), 1), Code::InvalidArgument);
        assert_eq!(uprobe("/bin/true", None, 0), Code::Internal);
        assert_eq!(
            code(Info::TcxAttachInfo(TcxAttachInfo {
                direction: "up".to_owned(),
                ..TcxAttachInfo::default()
            })),
            Code::InvalidArgument
        );
        assert_eq!(
            code(Info::TracepointAttachInfo(TracepointAttachInfo {
                tracepoint: "sched_switch".to_owned(),
                ..TracepointAttachInfo::default()
            })),
            Code::InvalidArgument
        );
    }

    #[test]
    fn an_empty_network_namespace_is_none_and_metadata_is_kept() {
        let metadata = BTreeMap::from([("owner".to_owned(), "acme".to_owned())]);
        let info = |netns: &str| {
            let info = Info::XdpAttachInfo(XdpAttachInfo {
                iface: "eth0".to_owned(),
                position: 9,
                netns: Some(netns.to_owned()),
                metadata: metadata.clone(),
                ..XdpAttachInfo::default()
            });
            translate(Some(AttachInfo { info: Some(info) })).unwrap()
        };
        assert_eq!(info("").path(), None);
        assert_eq!(info("/run/netns/a").path(), Some("/run/netns/a"));
        assert_eq!(info("").metadata, metadata);
    }
}
