//! `link attach tcx`, `netkit`, `xdp`, `tc`, `sk_lookup` and `netfilter`: hooks that are in a network namespace.

use super::{Service, fit_first, show};
use crate::cli::{
    Cooperate, InterfaceArgs, LinkArgs, NamespaceArgs, NetfilterArgs, NetkitArgs, SkLookupArgs,
    StrategyArgs, TcArgs, TcxArgs, XdpArgs,
};
use crate::console::Console;
use crate::exit::Error;
use crate::object::{OpenError, open_regular};
use ipc::messages::attach::AttachSpec;
use ipc::messages::chain::Strategy;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

pub(in crate::commands) fn tcx(
    arguments: TcxArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let direction = arguments.direction;
    let spec = |interface, priority| AttachSpec::Tcx {
        interface,
        direction,
        priority,
    };
    attach_to_interface(arguments.on, spec, service, console)
}

pub(in crate::commands) fn netkit(
    arguments: NetkitArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let hook = arguments.hook;
    let spec = |interface, priority| AttachSpec::Netkit {
        interface,
        hook,
        priority,
    };
    attach_to_interface(arguments.on, spec, service, console)
}

pub(in crate::commands) fn xdp(
    arguments: XdpArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let proceed_on = each_once(arguments.proceed_on);
    let spec = |interface, priority| match arguments.cooperate {
        Some(Cooperate::Libxdp) => AttachSpec::XdpGuest {
            interface,
            priority,
            proceed_on,
        },
        None => AttachSpec::Xdp {
            interface,
            priority,
            proceed_on,
            strategy: strategy(arguments.chain),
        },
    };
    attach_to_interface(arguments.on, spec, service, console)
}

pub(in crate::commands) fn tc(
    arguments: TcArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let spec = |interface, priority| AttachSpec::Tc {
        interface,
        direction: arguments.direction,
        priority,
        proceed_on: each_once(arguments.proceed_on),
        strategy: strategy(arguments.chain),
    };
    attach_to_interface(arguments.on, spec, service, console)
}

/// `spec` makes the request of the interface and the priority.
fn attach_to_interface(
    arguments: InterfaceArgs,
    spec: impl FnOnce(String, i32) -> AttachSpec,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let InterfaceArgs {
        program_id,
        interface,
        priority,
        namespace,
        link,
    } = arguments;
    let spec = spec(interface, priority);
    attach(program_id, spec, namespace, link, service, console)
}

fn each_once(mut verdicts: Vec<i32>) -> Vec<i32> {
    verdicts.sort_unstable();
    verdicts.dedup();
    verdicts
}

/// What was asked for before is kept, unless something is asked for now.
fn strategy(arguments: StrategyArgs) -> Option<Strategy> {
    arguments.strategy.and_then(|wanted| wanted.0)
}

pub(in crate::commands) fn sk_lookup(
    arguments: SkLookupArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let SkLookupArgs {
        program_id,
        namespace,
        link,
    } = arguments;
    let spec = AttachSpec::SkLookup;
    attach(program_id, spec, namespace, link, service, console)
}

pub(in crate::commands) fn netfilter(
    arguments: NetfilterArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let spec = AttachSpec::Netfilter(arguments.place());
    let NetfilterArgs {
        program_id,
        namespace,
        link,
        ..
    } = arguments;
    attach(program_id, spec, namespace, link, service, console)
}

fn attach(
    program_id: u32,
    spec: AttachSpec,
    namespace: NamespaceArgs,
    arguments: LinkArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let opened = self::namespace(&namespace);
    let Some((path, file)) = fit_first(opened, program_id, &spec, service)? else {
        return super::attach(program_id, spec, None, arguments, service, console);
    };
    let metadata = arguments.metadata.into_iter().collect();
    let link =
        service
            .connect()?
            .attach_in_namespace(program_id, spec, metadata, path, file.as_fd())?;
    show(link, arguments.output, console)
}

/// The network namespace that is asked for.
pub(in crate::commands) fn namespace(
    arguments: &NamespaceArgs,
) -> Result<Option<(String, OwnedFd)>, Error> {
    // The established client takes an empty path for none.
    let path = arguments.netns.as_deref().filter(|path| !path.is_empty());
    path.map(open).transpose()
}

/// The file of a network namespace, opened with the user's rights, and its absolute path.
fn open(shown: &str) -> Result<(String, OwnedFd), Error> {
    let failed =
        |text: String| Error::Failed(format!("resolve: network namespace \"{shown}\" {text}"));
    let path = std::path::absolute(Path::new(shown))?;
    let file = open_regular(&path).map_err(|error| {
        let remedy = match error {
            OpenError::Other(_) => error.remedy(),
            _ => "give a file like /run/netns/NAME or /proc/PID/ns/net",
        };
        failed(format!("{error}; {remedy}"))
    })?;
    let path = path
        .into_os_string()
        .into_string()
        .map_err(|_| failed("has a path that is not UTF-8".to_owned()))?;
    Ok((path, file))
}
