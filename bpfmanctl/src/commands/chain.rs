//! `dispatcher` and `chain`.

use super::{Service, print};
use crate::cli::{ChainConvertArgs, ChainShowArgs, DispatcherGetArgs, DispatcherListArgs};
use crate::console::Console;
use crate::exit::Error;
use crate::{inventory, json, text};
use ipc::messages::chain::{Dispatcher, HookView};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::os::fd::AsFd;

pub(super) fn list(
    arguments: &DispatcherListArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let mut found = service.connect()?.dispatchers()?;
    found.retain(|dispatcher| {
        let key = dispatcher.key;
        arguments.kind.is_none_or(|kind| kind == key.kind)
            && (arguments.nsid == 0 || arguments.nsid == key.nsid)
            && (arguments.ifindex == 0 || arguments.ifindex == key.ifindex)
    });
    print(
        console,
        arguments.output.output,
        |width| text::dispatchers(&found, width),
        || json::DispatcherList::from(found.clone()),
    )
}

pub(super) fn get(
    arguments: &DispatcherGetArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let chain = service.connect()?.dispatcher(arguments.key.into())?;
    print(
        console,
        arguments.output.output,
        |width| text::dispatcher(&chain, width),
        || json::Chain::from(chain.clone()),
    )
}

pub(super) fn show(
    arguments: &ChainShowArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let hooks = hooks(arguments, service)?;
    print(
        console,
        arguments.output.output,
        |width| text::chains(&arguments.interface, &hooks, width),
        || json::Hooks::new(&arguments.interface, hooks.clone()),
    )
}

pub(super) fn explain(
    arguments: &ChainShowArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let hooks = hooks(arguments, service)?;
    print(
        console,
        arguments.output.output,
        |width| text::explanation(&arguments.interface, &hooks, width),
        || json::Hooks::new(&arguments.interface, hooks.clone()),
    )
}

fn hooks(arguments: &ChainShowArgs, service: &Service) -> Result<Vec<HookView>, Error> {
    let namespace = super::attach::namespace(&arguments.namespace)?;
    let interface = arguments.interface.clone();
    let mut client = service.connect()?;
    let mut hooks = match namespace {
        Some((path, file)) => client.hooks_in_namespace(interface, path, file.as_fd())?,
        None => client.hooks(interface)?,
    };
    if inventory::is_nameless(&hooks) {
        // What others have there is shown without names where the kernel does not tell them.
        inventory::name(&mut hooks, &client.kernel_programs().unwrap_or_default());
    }
    Ok(hooks)
}

pub(super) fn convert(
    arguments: &ChainConvertArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let mut client = service.connect()?;
    // Interfaces may have got other names since the attach; those of other network namespaces are known by the old ones.
    let mut found = client
        .hooks(arguments.interface.clone())
        .map_or_else(|_| Vec::new(), of_hooks);
    let elsewhere = client.dispatchers()?.into_iter().filter(|dispatcher| {
        !dispatcher.netns.is_empty() && dispatcher.interface == arguments.interface
    });
    for dispatcher in elsewhere {
        if found.iter().all(|known| known.key != dispatcher.key) {
            found.push(dispatcher);
        }
    }
    found.retain(|dispatcher| {
        dispatcher.key.kind == arguments.kind
            && arguments
                .nsid
                .is_none_or(|nsid| nsid == dispatcher.key.nsid)
    });
    let [dispatcher] = found.as_slice() else {
        let (kind, interface) = (arguments.kind, &arguments.interface);
        let failure = if found.is_empty() {
            let cause = format!("{interface} has no chain of type {kind}");
            Failure::new(FailureCode::NotFound, Stage::Request, cause)
                .remedy("see `bpfmanctl dispatcher list`")
        } else {
            let spaces: Vec<_> = found
                .iter()
                .map(|dispatcher| dispatcher.key.nsid.to_string())
                .collect();
            let cause = format!(
                "several network namespaces have an interface {interface} with a chain of type {kind}"
            );
            Failure::new(FailureCode::InvalidArgument, Stage::Request, cause)
                .remedy(format!("name one with --nsid: {}", spaces.join(", ")))
        };
        return Err(failure.into());
    };
    let chain = client.convert(dispatcher.key, arguments.strategy.0)?;
    print(
        console,
        arguments.output.output,
        |width| text::dispatcher(&chain, width),
        || json::Chain::from(chain.clone()),
    )
}

fn of_hooks(hooks: Vec<HookView>) -> Vec<Dispatcher> {
    let dispatchers = hooks.into_iter().filter_map(|view| view.dispatcher);
    dispatchers.collect()
}
