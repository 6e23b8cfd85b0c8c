//! Programs through the verifier.

use super::limits::{LOAD_ATTEMPTS, LOG_BYTES_FIRST, LOG_BYTES_LAST};
use super::{Error, name, probe, sys};
use ipc::limits::VERIFIER_LOG_BYTES;
use ipc::messages::program::ProgramKind;
use ipc::plan::{InfoTable, MapSlot, ProgramPlan};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `BPF_TRACE_KPROBE_MULTI`.
pub const KPROBE_MULTI: u32 = 42;
/// `BPF_TRACE_UPROBE_MULTI`.
pub const UPROBE_MULTI: u32 = 48;
/// `BPF_PROG_TYPE_XDP`.
pub const XDP_TYPE: u32 = 6;
/// `BPF_XDP`.
pub const XDP: u32 = 37;

/// Opcode of `ld_imm64`, the instruction pair that carries a map.
const LD_IMM64: u8 = 0x18;
/// `BPF_PSEUDO_MAP_FD`: the map itself.
const PSEUDO_MAP_FD: u8 = 1;
/// `BPF_PSEUDO_MAP_VALUE`: an address in its first element.
const PSEUDO_MAP_VALUE: u8 = 2;
const INSTRUCTION_BYTES: usize = 8;

/// `BPF_PROG_TYPE_EXT`.
pub const EXTENSION_TYPE: u32 = 28;

/// A function of a loaded program that another program may replace.
#[derive(Clone, Copy, Debug)]
pub struct Replaced<'a> {
    /// The program that has the function.
    pub program: BorrowedFd<'a>,
    /// Type id of the function in the BTF of that program.
    pub function: u32,
}

/// Loads a program in the form in which it can replace functions like this one (freplace), whatever its own type.
pub fn load_replacing(
    plan: &ProgramPlan,
    license: &str,
    btf: BorrowedFd<'_>,
    maps: &[BorrowedFd<'_>],
    replaced: Replaced<'_>,
) -> Result<OwnedFd, Error> {
    let instructions = patch(&plan.instructions, &plan.map_slots, maps)?;
    let license = terminated(license);
    load_with_log(&sys::program::Load {
        prog_type: EXTENSION_TYPE,
        expected_attach_type: 0,
        // What the program may do with its packets is decided by the one that it becomes part of.
        flags: 0,
        name: name::object(&plan.name),
        license: &license,
        instructions: &instructions,
        btf: Some(btf),
        func_info: table(plan.func_info.as_ref()),
        line_info: table(plan.line_info.as_ref()),
        attach_btf_id: replaced.function,
        target: Some(replaced.program),
    })
}

/// What stands behind a NUL the kernel would not see either.
fn terminated(license: &str) -> CString {
    CString::new(license.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

/// Loads a program. `maps` are the descriptors of the plan's maps, in its order.
///
/// The first attempt asks for no log, because writing one makes the verifier many times slower. A rejected program is
/// verified again for the log alone; the error that counts is the first.
pub fn load(
    plan: &ProgramPlan,
    license: &str,
    btf: Option<BorrowedFd<'_>>,
    maps: &[BorrowedFd<'_>],
) -> Result<OwnedFd, Error> {
    let instructions = patch(&plan.instructions, &plan.map_slots, maps)?;
    let license = terminated(license);
    let program = sys::program::Load {
        prog_type: plan.prog_type,
        expected_attach_type: expected_attach_type(plan),
        flags: plan.flags,
        name: name::object(&plan.name),
        license: &license,
        instructions: &instructions,
        btf,
        func_info: table(plan.func_info.as_ref()),
        line_info: table(plan.line_info.as_ref()),
        attach_btf_id: plan.attach_btf_id,
        target: None,
    };
    load_with_log(&program)
}

/// How a program will be attached, as far as the kernel wants to know it when it is loaded.
fn expected_attach_type(plan: &ProgramPlan) -> u32 {
    match plan.kind {
        // A link on several uprobes takes only programs made for it, and a perf event takes only others.
        ProgramKind::Uprobe | ProgramKind::Uretprobe if probe::uprobe_multi().is_ok() => {
            UPROBE_MULTI
        }
        ProgramKind::Uprobe | ProgramKind::Uretprobe => 0,
        // Also sections `kprobe.multi`: the program goes behind a perf event, which takes no other.
        ProgramKind::Kprobe | ProgramKind::Kretprobe => 0,
        // With 0 the kernel would refuse to replace the program by one loaded with BPF_XDP.
        ProgramKind::Xdp if plan.expected_attach_type == 0 => XDP,
        _ => plan.expected_attach_type,
    }
}

fn table(info: Option<&InfoTable>) -> (u32, &[u8]) {
    info.map_or((0, &[]), |table| (table.record_size, &table.records))
}

/// Loads a program, asking the verifier for its log only when it was rejected.
pub(super) fn load_with_log(program: &sys::program::Load<'_>) -> Result<OwnedFd, Error> {
    let refused = match load_uninterrupted(program, &mut []) {
        Ok(program) => return Ok(program),
        Err(errno) => errno,
    };
    let mut size = LOG_BYTES_FIRST;
    loop {
        let mut log = vec![0; size];
        match load_uninterrupted(program, &mut log) {
            Ok(program) => return Ok(program),
            Err(Errno::NOSPC) if size < LOG_BYTES_LAST => size = (size * 16).min(LOG_BYTES_LAST),
            Err(_) => {
                return Err(Error {
                    call: "BPF_PROG_LOAD",
                    errno: refused,
                    verifier_log: log_text(&log),
                });
            }
        }
    }
}

fn load_uninterrupted(program: &sys::program::Load<'_>, log: &mut [u8]) -> Result<OwnedFd, Errno> {
    let mut attempts = 1;
    loop {
        match sys::program::load(program, log) {
            Err(Errno::AGAIN) if attempts < LOAD_ATTEMPTS => attempts += 1,
            answer => return answer,
        }
    }
}

/// The log as text. Of one that is longer than [`VERIFIER_LOG_BYTES`] the end is kept, where the cause stands, behind a line
/// that says how much is missing.
pub(super) fn log_text(log: &[u8]) -> Option<String> {
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let text = String::from_utf8_lossy(&log[..end]);
    if text.len() <= VERIFIER_LOG_BYTES {
        return (!text.is_empty()).then(|| text.into_owned());
    }
    // A log that fills the buffer up to its NUL may have been longer.
    let least = if end + 1 >= log.len() {
        "at least "
    } else {
        ""
    };
    let line = |bytes| format!("({least}{bytes} bytes of the log before this are left out)\n");
    let room = VERIFIER_LOG_BYTES - line(text.len()).len();
    let cut = (text.len() - room..=text.len()).find(|at| text.is_char_boundary(*at))?;
    Some(line(cut) + &text[cut..])
}

/// A copy of the instructions in which each slot carries the descriptor of its map.
fn patch(
    instructions: &[u8],
    slots: &[MapSlot],
    maps: &[BorrowedFd<'_>],
) -> Result<Vec<u8>, Error> {
    let broken = || Error::new("the load plan: map slot", Errno::INVAL);
    if instructions.is_empty() || !instructions.len().is_multiple_of(INSTRUCTION_BYTES) {
        return Err(Error::new("the load plan: instructions", Errno::INVAL));
    }
    let mut patched = instructions.to_vec();
    for slot in slots {
        let map = maps.get(slot.map as usize).ok_or_else(broken)?;
        let start = (slot.instruction as usize)
            .checked_mul(INSTRUCTION_BYTES)
            .ok_or_else(broken)?;
        // The pair must be whole, though only its first half changes.
        let pair = patched
            .get_mut(start..)
            .and_then(|rest| rest.get_mut(..2 * INSTRUCTION_BYTES))
            .ok_or_else(broken)?;
        let source = pair[1] >> 4;
        if pair[0] != LD_IMM64 || !matches!(source, PSEUDO_MAP_FD | PSEUDO_MAP_VALUE) {
            return Err(broken());
        }
        pair[4..8].copy_from_slice(&map.as_raw_fd().to_ne_bytes());
    }
    Ok(patched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    const LOAD_MAP: [u8; 16] = [
        LD_IMM64,
        PSEUDO_MAP_FD << 4 | 1,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];

    #[test]
    fn slots_get_the_descriptor_of_their_map() {
        let map = std::fs::File::open("/dev/null").unwrap();
        let patched = patch(
            &LOAD_MAP,
            &[MapSlot {
                instruction: 0,
                map: 0,
            }],
            &[map.as_fd()],
        )
        .unwrap();
        assert_eq!(patched[4..8], map.as_raw_fd().to_ne_bytes());
        assert_eq!(patched[8..], LOAD_MAP[8..]);
    }

    #[test]
    fn slots_outside_the_plan_are_refused() {
        let map = std::fs::File::open("/dev/null").unwrap();
        let maps = [map.as_fd()];
        for slot in [
            MapSlot {
                instruction: 1,
                map: 0,
            },
            MapSlot {
                instruction: u32::MAX,
                map: 0,
            },
            MapSlot {
                instruction: 0,
                map: 1,
            },
        ] {
            assert_eq!(
                patch(&LOAD_MAP, &[slot], &maps).unwrap_err().errno,
                Errno::INVAL,
                "{slot:?}"
            );
        }
    }

    #[test]
    fn slots_on_other_instructions_are_refused() {
        let map = std::fs::File::open("/dev/null").unwrap();
        let exit = [0x95, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
        assert!(
            patch(
                &exit,
                &[MapSlot {
                    instruction: 0,
                    map: 0
                }],
                &[map.as_fd()]
            )
            .is_err()
        );
        let mut constant = LOAD_MAP;
        constant[1] = 1;
        assert!(
            patch(
                &constant,
                &[MapSlot {
                    instruction: 0,
                    map: 0
                }],
                &[map.as_fd()]
            )
            .is_err()
        );
    }

    #[test]
    fn half_an_instruction_is_refused() {
        assert!(patch(&LOAD_MAP[..7], &[], &[]).is_err());
        assert!(patch(&[], &[], &[]).is_err());
    }

    #[test]
    fn the_end_of_a_log_is_kept() {
        let mut log = vec![b'x'; VERIFIER_LOG_BYTES + 1];
        log.extend_from_slice(b"the cause\0after");
        let text = log_text(&log).unwrap();
        assert!(text.ends_with("xthe cause"));
        let (line, rest) = text.split_once('\n').unwrap();
        let left_out = VERIFIER_LOG_BYTES + 10 - rest.len();
        assert_eq!(
            line,
            format!("({left_out} bytes of the log before this are left out)")
        );
        assert!(text.len() <= VERIFIER_LOG_BYTES && text.len() > VERIFIER_LOG_BYTES - 8);
        assert_eq!(log_text(&[0; 8]), None);
    }

    #[test]
    fn a_log_that_fits_is_whole_and_one_that_filled_its_buffer_says_so() {
        let whole = vec![b'x'; VERIFIER_LOG_BYTES];
        assert_eq!(log_text(&whole).unwrap().len(), VERIFIER_LOG_BYTES);
        assert!(!log_text(&whole).unwrap().contains("left out"));
        let full = vec![b'x'; VERIFIER_LOG_BYTES + 1];
        assert!(log_text(&full).unwrap().starts_with("(at least "));
    }

    #[test]
    fn a_log_of_rubbish_stays_bounded() {
        let log = vec![0xff; VERIFIER_LOG_BYTES];
        assert!(log_text(&log).unwrap().len() <= VERIFIER_LOG_BYTES);
    }
}
