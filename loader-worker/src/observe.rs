//! Looks at bpffs and the kernel for what the store says is there.

use crate::chains::reach::{Elsewhere, Way};
use crate::chains::{libxdp, presence};
use crate::drift::{Behind, Seen};
use crate::helpers::Helpers;
use crate::kernel::memlock::Memlocks;
use crate::kernel::netlink::Socket;
use crate::kernel::witness::Testimony;
use crate::kernel::{Error, clsact, info, interfaces, pin};
use crate::layout::Layout;
use crate::limits::PINS;
use crate::network_namespace::NetworkNamespace;
use crate::store::records::{StoredHook, StoredProgram};
use ipc::messages::attach::{LinkDetails, LinkNumbers, LinkRecord};
use ipc::messages::chain::{Dispatcher, HookKind, Strategy};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::kernel::{KernelLink, KernelProgram, ProgramStats};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The number that the interface of a link has now, wherever it is; `None` where it is gone or there is no link.
fn ifindex(pin: &Path) -> Option<u32> {
    let link = pin::get(pin).and_then(|link| info::link(link.as_fd()));
    link.ok()
        .map(|link| link.ifindex)
        .filter(|ifindex| *ifindex != 0)
}

/// The number that the interface of a link has now, if it has moved from where it was (network namespace and number). Of one
/// that keeps its number this is told where it was in the loader's own network namespace, which does not have it any more: the
/// same program may be on interfaces of that number in many.
pub fn moved_to(pin: &Path, (nsid, recorded): (u64, u32)) -> Option<u32> {
    let now = ifindex(pin)?;
    let is_missing = || {
        NetworkNamespace::own().is_ok_and(|own| own.id() == nsid)
            && matches!(interfaces::name(recorded), Ok(None))
    };
    (now != recorded || is_missing()).then_some(now)
}

/// The program behind a pin.
pub fn program(path: &str, memlocks: &Memlocks) -> Behind<(KernelProgram, ProgramStats)> {
    behind(pin::get(Path::new(path)), |program| {
        let (mut kernel, stats) = info::program(program)?;
        kernel.memlock = memlocks.of(kernel.id, program);
        Ok((kernel, stats))
    })
}

fn program_id(path: &str) -> Behind<u32> {
    behind(pin::get(Path::new(path)), |program| {
        Ok(info::program(program)?.0.id)
    })
}

/// The link behind the pin of a record. On clsact there may be a filter in the place of a link: it has the id 0.
pub fn link(record: &LinkRecord) -> Behind<KernelLink> {
    if let LinkDetails::XdpGuest {
        ifindex,
        dispatcher_id,
        ..
    } = record.details
    {
        return guest(record, ifindex, dispatcher_id);
    }
    let opened = pin::get(Path::new(&record.pin_path));
    match &record.details {
        LinkDetails::Tc {
            ifindex, strategy, ..
        } if *strategy != Strategy::Libxdp => behind(opened, |program| {
            Ok(KernelLink {
                program_id: info::program(program)?.0.id,
                ifindex: *ifindex,
                ..KernelLink::default()
            })
        }),
        _ => behind(opened, info::link),
    }
}

/// Whether the filter through which a link on clsact is called is on its hook; links of all other kinds need none. Nobody goes
/// into other network namespaces for this: a filter there is believed to be on its interface as long as that is there.
pub fn has_filter(layout: &Layout, record: &LinkRecord) -> bool {
    let (
        LinkDetails::Tc {
            ifindex,
            direction,
            netns,
            dispatcher_id,
            ..
        },
        Some(key),
    ) = (&record.details, record.details.hook())
    else {
        return true;
    };
    match Elsewhere::of(layout, key, netns) {
        Ok(Some(elsewhere)) => {
            matches!(
                elsewhere.testimony(),
                Ok(Testimony::Alive | Testimony::Nobody)
            )
        }
        Ok(None) => Socket::open()
            .and_then(|socket| clsact::filters(&socket, *ifindex, *direction))
            .is_ok_and(|filters| {
                let mut programs = filters.iter().filter_map(|found| found.program_id);
                programs.any(|program| program == *dispatcher_id)
            }),
        Err(_) => false,
    }
}

/// What the kernel tells of a link by its type; nothing where it cannot be asked.
pub fn link_numbers(record: &LinkRecord) -> LinkNumbers {
    pin::get(Path::new(&record.pin_path))
        .and_then(|link| info::link_numbers(link.as_fd()))
        .unwrap_or_default()
}

/// A member of a dispatcher of libxdp, whose pins root alone may open: as long as the dispatcher that had it is on the
/// interface, it is there.
fn guest(record: &LinkRecord, ifindex: u32, dispatcher: u32) -> Behind<KernelLink> {
    /// `BPF_LINK_TYPE_TRACING`.
    const TRACING: u32 = 2;
    match libxdp::look(ifindex) {
        Ok(Some((id, _))) if id == dispatcher => Behind::Found(KernelLink {
            id: record.kernel_link_id.unwrap_or_default(),
            program_id: record.program_id,
            link_type: TRACING,
            target_obj_id: dispatcher,
            ..KernelLink::default()
        }),
        Ok(Some((id, _))) if dispatcher != 0 => Behind::Unknown(format!(
            "program {id} is on the interface in the place of dispatcher {dispatcher}; libxdp's lock is held by somebody \
             else, or the service has just started"
        )),
        Ok(_) => Behind::Nothing,
        Err(Failure { cause, .. }) => Behind::Unknown(cause),
    }
}

/// Whether what the record of a hook says is on the hook. Nobody goes into other network namespaces without `helpers`: a
/// filter there is believed to be on its interface as long as that is there.
pub async fn hook(
    layout: &Layout,
    dispatcher: &Dispatcher,
    helpers: Option<&dyn Helpers>,
) -> Behind<()> {
    let live = async {
        let elsewhere = Elsewhere::of(layout, dispatcher.key, &dispatcher.netns)?;
        let way = match (&elsewhere, helpers) {
            (Some(elsewhere), None) => {
                let is_pinned = presence::is_pinned(layout, dispatcher).map_err(unclear)?;
                return Ok(is_pinned && elsewhere.testimony()? != Testimony::Gone);
            }
            (Some(elsewhere), Some(helpers)) => Way::to(Some(elsewhere), helpers).await?,
            (None, _) => Some(Way::Own),
        };
        presence::is_live(layout, dispatcher, way.as_ref()).map_err(unclear)
    };
    match live.await {
        Ok(true) => Behind::Found(()),
        Ok(false) => Behind::Nothing,
        Err(Failure { cause, .. }) => Behind::Unknown(cause),
    }
}

fn unclear(error: Error) -> Failure {
    Failure::new(FailureCode::Internal, Stage::Query, error.to_string())
}

fn behind<T>(
    opened: Result<OwnedFd, Error>,
    describe: impl FnOnce(BorrowedFd<'_>) -> Result<T, Error>,
) -> Behind<T> {
    match opened.and_then(|descriptor| describe(descriptor.as_fd())) {
        Ok(found) => Behind::Found(found),
        Err(error) if error.is_not_found() => Behind::Nothing,
        Err(error) => Behind::Unknown(error.to_string()),
    }
}

/// The kernel id of the map behind a pin.
pub fn map(path: &Path) -> Behind<u32> {
    behind(pin::get_to_read(path), |map| Ok(info::map(map)?.id))
}

/// Everything that matters for comparing; other network namespaces are looked into if there are `helpers`.
pub async fn observe(
    layout: &Layout,
    programs: &[StoredProgram],
    links: &[LinkRecord],
    hooks: &[StoredHook],
    helpers: Option<&dyn Helpers>,
) -> io::Result<Seen> {
    let mut seen = Seen::default();
    for program in programs {
        let record = &program.record;
        seen.programs
            .insert(record.program_id, program_id(&record.pin_path));
        let own = program.maps.iter().map(|map| PathBuf::from(&map.pin_path));
        let shared = program.shared_by_name().map(|name| layout.shared(name));
        for pin in own.chain(shared) {
            // Programs that share maps name the same pins.
            if !pin.as_os_str().is_empty() && !seen.maps.contains_key(&pin) {
                let found = map(&pin);
                seen.maps.insert(pin, found);
            }
        }
    }
    let mut note_moved = |pin: PathBuf, place| {
        if moved_to(&pin, place).is_some() {
            seen.moved.insert(pin);
        }
    };
    for record in links {
        if let Some((place, _)) = record.details.mprog() {
            note_moved(record.pin_path.clone().into(), (place.nsid, place.ifindex));
        }
    }
    for key in hooks.iter().map(|hook| hook.dispatcher.key) {
        if key.kind == HookKind::Xdp {
            note_moved(layout.hook_link(key), (key.nsid, key.ifindex));
        }
    }
    for record in links {
        seen.links.insert(record.id, link(record));
    }
    for dispatcher in hooks.iter().map(|hook| &hook.dispatcher) {
        let found = hook(layout, dispatcher, helpers).await;
        seen.hooks.insert(dispatcher.key, found);
    }
    seen.truncated = !walk(layout.fs(), PINS, &mut seen.pins)?;
    // Iterators have no records: they are there or are made again.
    let iterators = layout.iterators();
    seen.pins.retain(|pin| !pin.starts_with(&iterators));
    // Names with a dot are the kernel's own (`maps.debug`, `progs.debug`): it lets nobody pin under one.
    seen.pins.retain(|pin| pin.extension().is_none());
    walk(&layout.plans(), PINS, &mut seen.plans)?;
    Ok(seen)
}

/// Collects the files beneath a directory; `false` when there is more than `limit` of files or directories.
fn walk(root: &Path, limit: usize, files: &mut BTreeSet<PathBuf>) -> io::Result<bool> {
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            if files.len() >= limit || directories.len() >= limit {
                return Ok(false);
            }
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            } else {
                files.insert(entry.path());
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_ends_at_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("maps/7")).unwrap();
        for name in ["prog_7", "maps/7/counters", "maps/7/traffic"] {
            fs::write(directory.path().join(name), b"").unwrap();
        }
        let mut files = BTreeSet::new();
        assert!(walk(directory.path(), 3, &mut files).unwrap());
        assert_eq!(files.len(), 3);
        let mut files = BTreeSet::new();
        assert!(!walk(directory.path(), 2, &mut files).unwrap());
        assert!(walk(&directory.path().join("none"), 3, &mut files).is_err());
    }
}
