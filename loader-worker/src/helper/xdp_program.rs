//! Looks at an XDP program of somebody else: what it is called, and what it calls if it is a dispatcher of libxdp's
//! protocol.
//!
//! Ids of programs and maps are opened by CAP_SYS_ADMIN alone, and libxdp's pins by root. Nothing that was opened leaves
//! this process: what goes to the loader are names and numbers, so that a loader that was taken over can ask for no
//! program or map of others by this way.

use crate::chains::foreign::{self, Configuration};
use crate::helpers::Done;
use crate::kernel::{Error, by_id, info, map, pin, program};
use ipc::messages::chain::{ForeignDispatcher, ForeignMember};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::HelperResult;
use ipc::messages::kernel::KernelProgram;
use std::os::fd::AsFd;

/// The job. A program that has gone meanwhile is not found.
pub(super) fn describe(program_id: u32, ifindex: u32) -> Result<Done, Failure> {
    let failed = |error: Error| error.into_failure(Stage::Query, format!("program {program_id}"));
    let opened = by_id::program(program_id).map_err(failed)?;
    let (kernel, _) = info::program(opened.as_fd()).map_err(failed)?;
    if kernel.prog_type != program::XDP_TYPE {
        return Err(Failure::new(
            FailureCode::InvalidArgument,
            Stage::Query,
            format!("program {program_id} is no XDP program"),
        )
        .remedy("this is a fault of bpfman's loader, please report it"));
    }
    let dispatcher = configuration(&kernel)
        .map_err(failed)?
        .map(|configuration| ForeignDispatcher {
            program_id,
            version: configuration.version,
            members: members(&configuration, ifindex, program_id),
        });
    Ok(Done {
        result: HelperResult::XdpProgram {
            name: kernel.name,
            dispatcher,
        },
        descriptors: Vec::new(),
    })
}

/// The signs by which libxdp knows a dispatcher: its name, and one read-only array of one element.
pub(super) fn configuration(kernel: &KernelProgram) -> Result<Option<Configuration>, Error> {
    /// `BPF_F_RDONLY_PROG`.
    const READ_ONLY: u32 = 1 << 7;
    let [map_id] = kernel.map_ids[..] else {
        return Ok(None);
    };
    if kernel.name != foreign::PROGRAM_NAME {
        return Ok(None);
    }
    let opened = by_id::map(map_id)?;
    let found = info::map(opened.as_fd())?;
    let is_data = found.key_size == 4 && found.max_entries == 1 && found.flags & READ_ONLY != 0;
    if !is_data || found.value_size > foreign::CONFIGURATION_BYTES {
        return Ok(None);
    }
    let data = map::lookup(opened.as_fd(), &0_u32.to_ne_bytes())?;
    Ok(Some(foreign::parse(&data)))
}

/// With names and ids as far as they are pinned: another instance, or another bpffs, keeps them elsewhere.
fn members(configuration: &Configuration, ifindex: u32, program_id: u32) -> Vec<ForeignMember> {
    let slots = configuration.slots.iter().enumerate();
    let member = slots.map(|(position, slot)| {
        let path = foreign::member_pin(ifindex, program_id, position);
        let pinned = pin::get(&path).and_then(|member| info::program(member.as_fd()));
        let (id, name) = pinned.map_or((None, String::new()), |(kernel, _)| {
            (Some(kernel.id), kernel.name)
        });
        ForeignMember {
            program_id: id,
            name,
            priority: slot.priority,
            proceed_on: slot.proceed_on,
        }
    });
    member.collect()
}
