//! Whether the answers about all that is managed still fit one frame when something is added. Pure.
//!
//! Lists are neither cut nor sent in pages. What would make one of them too long is refused when it is asked for, so that
//! every list can always be had, and nothing is carried out whose answer cannot be sent.

use crate::limits::{KERNEL_LINK_BYTES, KERNEL_PROGRAM_BYTES, LINKS, PROGRAMS};
use crate::store::records::StoredProgram;
use bincode::Encode;
use ipc::codec;
use ipc::limits::FRAME_BYTES;
use ipc::messages::attach::LinkRecord;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::Program;
use std::collections::BTreeMap;

/// Encoded bytes around what is counted: the variant, lengths of lists, options, run statistics.
const ENVELOPE: usize = 128;

/// Encoded bytes of an id of a link, and of one of a program.
const LINK_ID: usize = 8;
const PROGRAM_ID: usize = 4;

/// The answer to a load: all its programs with all that the request said about each.
pub fn check_answer(programs: &[Program]) -> Result<(), Failure> {
    let bytes = sum(programs.iter().map(size))? + ENVELOPE;
    bounded(bytes, "the answer", || {
        "load fewer programs at once, or with fewer labels and smaller values".into()
    })
}

/// The list of all programs, whatever the kernel tells about them and wherever they will be attached.
pub fn check_programs<'a>(
    programs: impl Iterator<Item = &'a StoredProgram>,
) -> Result<(), Failure> {
    let entry =
        |program: &StoredProgram| Ok(size(&program.record)? + KERNEL_PROGRAM_BYTES + ENVELOPE);
    let bytes = sum(programs.map(entry))? + LINKS * LINK_ID;
    bounded(bytes, "the list of programs", || {
        "unload programs that are not used, or give fewer labels and smaller values".into()
    })
}

/// The list of all links, which shows each with the labels of its program, and the description of the program that gets
/// the last of them.
pub fn check_links<'a>(
    links: impl Iterator<Item = &'a LinkRecord> + Clone,
    programs: &[StoredProgram],
    attached: &StoredProgram,
) -> Result<(), Failure> {
    let labels = |StoredProgram { record, .. }: &StoredProgram| {
        let bytes = size(&record.name)? + size(&record.metadata)?;
        Ok((record.program_id, bytes))
    };
    let labels: BTreeMap<u32, usize> = programs
        .iter()
        .map(labels)
        .collect::<Result<_, Failure>>()?;
    let entry = |link: &LinkRecord| {
        let of_program = labels.get(&link.program_id).copied().unwrap_or(0);
        Ok(size(link)? + of_program + ENVELOPE)
    };
    let remedy = || "detach links that are not used, or give fewer labels".to_owned();
    bounded(sum(links.clone().map(entry))?, "the list of links", remedy)?;

    let id = attached.record.program_id;
    let name = size(&attached.record.name)?;
    let own = links.filter(|link| link.program_id == id);
    let own = sum(own.map(|link| Ok(size(link)? + name + KERNEL_LINK_BYTES)))?;
    let bytes = size(attached)? + own + KERNEL_PROGRAM_BYTES + PROGRAMS * PROGRAM_ID + ENVELOPE;
    bounded(bytes, &format!("what is told about program {id}"), remedy)
}

fn sum(sizes: impl Iterator<Item = Result<usize, Failure>>) -> Result<usize, Failure> {
    sizes.sum()
}

fn size<T: Encode>(value: &T) -> Result<usize, Failure> {
    codec::size(value)
        .map_err(|error| Failure::new(FailureCode::Internal, Stage::Store, error.to_string()))
}

fn bounded(bytes: usize, what: &str, remedy: impl FnOnce() -> String) -> Result<(), Failure> {
    if bytes <= FRAME_BYTES as usize {
        return Ok(());
    }
    let cause = format!("{what} would be up to {bytes} bytes, {FRAME_BYTES} is the limit");
    Err(Failure::new(FailureCode::ResourceExhausted, Stage::Request, cause).remedy(remedy()))
}

#[cfg(test)]
mod tests;
