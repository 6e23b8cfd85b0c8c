//! `link attach tcx`, `netkit`, `xdp`, `tc`, `sk_lookup` and `netfilter`: hooks that are in a network namespace.

use super::{Service, fit_first, show};
use crate::cli::{
    LinkArgs, NamespaceArgs, NetfilterArgs, NetkitArgs, SkLookupArgs, StrategyArgs, TcArgs,
    TcxArgs, XdpArgs,
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
    let TcxArgs {
        program_id,
        interface,
        direction,
        priority,
        namespace,
        link,
    } = arguments;
    let spec = AttachSpec::Tcx {
        interface,
        direction,
        priority,
    };
    attach(program_id, spec, namespace, link, service, console)
}

pub(in crate::commands) fn netkit(
    arguments: NetkitArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let NetkitArgs {
        program_id,
        interface,
        hook,
        priority,
        namespace,
        link,
    } = arguments;
    let spec = AttachSpec::Netkit {
        interface,
        hook,
        priority,
    };
    attach(program_id, spec, namespace, link, service, console)
}

pub(in crate::commands) fn xdp(
    arguments: XdpArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let XdpArgs {
        program_id,
        interface,
        priority,
        mut proceed_on,
        chain,
        namespace,
        link,
    } = arguments;
    proceed_on.sort_unstable();
    proceed_on.dedup();
    let spec = AttachSpec::Xdp {
        interface,
        priority,
        proceed_on,
        strategy: strategy(chain),
    };
    attach(program_id, spec, namespace, link, service, console)
}

pub(in crate::commands) fn tc(
    arguments: TcArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let TcArgs {
        program_id,
        interface,
        direction,
        priority,
        mut proceed_on,
        chain,
        namespace,
        link,
    } = arguments;
    proceed_on.sort_unstable();
    proceed_on.dedup();
    let spec = AttachSpec::Tc {
        interface,
        direction,
        priority,
        proceed_on,
        strategy: strategy(chain),
    };
    attach(program_id, spec, namespace, link, service, console)
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
