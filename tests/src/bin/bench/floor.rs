//! The floor: the same system calls that the loader makes, made directly by this program, without any process between.

#![allow(
    unsafe_code,
    reason = "bpf(2) takes pointers; the plan that they point into outlives each call"
)]

use bpfman_tests::kernel::{Attributes, bpf};
use ipc::plan::{InfoTable, LoadPlan, MapPlan, ProgramPlan};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const MAP_CREATE: i32 = 0;
const MAP_UPDATE_ELEM: i32 = 2;
const PROG_LOAD: i32 = 5;
const OBJ_PIN: i32 = 6;
const OBJ_GET: i32 = 7;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const BTF_LOAD: i32 = 18;
const MAP_FREEZE: i32 = 22;
const LINK_CREATE: i32 = 28;
const LINK_DETACH: i32 = 34;
const TCX_INGRESS: u64 = 46;

/// A loaded object: closing the descriptors and removing the pins unloads it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The first program.
    pub(crate) program: OwnedFd,
    maps: Vec<OwnedFd>,
}

fn descriptor(result: i64) -> io::Result<OwnedFd> {
    let number = i32::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it for the caller, who passes it on at once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn raw(descriptor: &OwnedFd) -> u64 {
    u64::from(descriptor.as_raw_fd().unsigned_abs())
}

/// The kernel takes 15 characters.
fn name(text: &str) -> [u64; 2] {
    let mut bytes = [0; 16];
    for (place, byte) in bytes[..15].iter_mut().zip(text.bytes()) {
        *place = if byte.is_ascii_alphanumeric() || byte == b'.' {
            byte
        } else {
            b'_'
        };
    }
    let word = |at: usize| {
        let mut half = [0; 8];
        half.copy_from_slice(&bytes[at..at + 8]);
        u64::from_ne_bytes(half)
    };
    [word(0), word(8)]
}

/// Loads the plan's BTF, maps and first program, and pins program and maps as bpfman does.
pub(crate) fn load(plan: &LoadPlan, folder: &Path) -> io::Result<Loaded> {
    let btf = plan.btf.as_deref().map(load_btf).transpose()?;
    let mut maps = Vec::new();
    for map in &plan.maps {
        maps.push(create_map(map, btf.as_ref())?);
    }
    let first = plan
        .programs
        .first()
        .ok_or_else(|| io::Error::other("the plan has no program"))?;
    let program = load_program(first, plan, &maps, btf.as_ref())?;
    pin(&program, &folder.join("program"))?;
    for (map, descriptor) in plan.maps.iter().zip(&maps) {
        if !map.internal {
            pin(descriptor, &folder.join(&map.name))?;
        }
    }
    Ok(Loaded { program, maps })
}

fn load_btf(btf: &[u8]) -> io::Result<OwnedFd> {
    let mut attributes: Attributes = [0; 18];
    attributes[0] = btf.as_ptr() as u64;
    attributes[2] = btf.len() as u64;
    // SAFETY: the blob is live and of the length that is passed.
    descriptor(unsafe { bpf(BTF_LOAD, &mut attributes) }?)
}

fn create_map(map: &MapPlan, btf: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    let mut attributes: Attributes = [0; 18];
    attributes[0] = u64::from(map.map_type) | u64::from(map.key_size) << 32;
    attributes[1] = u64::from(map.value_size) | u64::from(map.max_entries) << 32;
    attributes[2] = u64::from(map.flags);
    // map_name at 28, map_ifindex at 44, btf_fd at 48, key and value type at 52 and 56.
    let [low, high] = name(&map.name);
    attributes[3] = low << 32;
    attributes[4] = low >> 32 | high << 32;
    attributes[5] = high >> 32;
    if let Some(btf) = btf.filter(|_| map.btf_value_type_id != 0) {
        attributes[6] = raw(btf) | u64::from(map.btf_key_type_id) << 32;
        attributes[7] = u64::from(map.btf_value_type_id);
    }
    // SAFETY: the attributes hold no pointer.
    let created = descriptor(unsafe { bpf(MAP_CREATE, &mut attributes) }?)?;
    if let Some(initial) = &map.initial {
        let key = 0u32;
        let mut update: Attributes = [0; 18];
        update[0] = raw(&created);
        update[1] = (&raw const key) as u64;
        update[2] = initial.as_ptr() as u64;
        // SAFETY: key and value are live and as large as the map says.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut update) }?;
    }
    if map.freeze {
        let mut freeze: Attributes = [0; 18];
        freeze[0] = raw(&created);
        // SAFETY: the attributes hold no pointer.
        unsafe { bpf(MAP_FREEZE, &mut freeze) }?;
    }
    Ok(created)
}

fn load_program(
    program: &ProgramPlan,
    plan: &LoadPlan,
    maps: &[OwnedFd],
    btf: Option<&OwnedFd>,
) -> io::Result<OwnedFd> {
    let mut instructions = program.instructions.clone();
    for slot in &program.map_slots {
        let at = slot.instruction as usize * 8;
        const PSEUDO_MAP_FD: u8 = 1;
        // A slot whose second half holds an offset into a data section is already marked as a value.
        if instructions[at + 1] >> 4 == 0 {
            instructions[at + 1] |= PSEUDO_MAP_FD << 4;
        }
        instructions[at + 4..at + 8]
            .copy_from_slice(&maps[slot.map as usize].as_raw_fd().to_ne_bytes());
    }
    let license = CString::new(plan.license.as_str())?;
    let mut attributes: Attributes = [0; 18];
    attributes[0] = u64::from(program.prog_type) | ((instructions.len() / 8) as u64) << 32;
    attributes[1] = instructions.as_ptr() as u64;
    attributes[2] = license.as_ptr() as u64;
    // log_level, log_size, log_buf at 24..40; kern_version at 40, prog_flags at 44, prog_name at 48.
    attributes[5] = u64::from(program.flags) << 32;
    let [low, high] = name(&program.name);
    attributes[6] = low;
    attributes[7] = high;
    // prog_ifindex at 64, expected_attach_type at 68, prog_btf_fd at 72, func_info_rec_size at 76, func_info at 80,
    // func_info_cnt at 88, line_info_rec_size at 92, line_info at 96, line_info_cnt at 104.
    attributes[8] = u64::from(program.expected_attach_type) << 32;
    if let (Some(btf), Some(functions)) = (btf, &program.func_info) {
        attributes[9] = raw(btf) | u64::from(functions.record_size) << 32;
        attributes[10] = functions.records.as_ptr() as u64;
        attributes[11] = records(functions);
        if let Some(lines) = &program.line_info {
            attributes[11] |= u64::from(lines.record_size) << 32;
            attributes[12] = lines.records.as_ptr() as u64;
            attributes[13] = records(lines);
        }
    }
    // SAFETY: instructions, licence and tables are live and of the lengths that are passed.
    descriptor(unsafe { bpf(PROG_LOAD, &mut attributes) }?)
}

fn records(table: &InfoTable) -> u64 {
    (table.records.len() / table.record_size.max(1) as usize) as u64
}

/// Attaches to the ingress hook of an interface, and pins the link.
pub(crate) fn attach(program: &OwnedFd, interface: u32, path: &Path) -> io::Result<OwnedFd> {
    let mut attributes: Attributes = [0; 18];
    attributes[0] = raw(program) | u64::from(interface) << 32;
    attributes[1] = TCX_INGRESS;
    // SAFETY: the attributes hold no pointer.
    let link = descriptor(unsafe { bpf(LINK_CREATE, &mut attributes) }?)?;
    pin(&link, path)?;
    Ok(link)
}

/// Detaches a pinned link.
pub(crate) fn detach(path: &Path) -> io::Result<()> {
    let link = open(path)?;
    let mut attributes: Attributes = [0; 18];
    attributes[0] = raw(&link);
    // SAFETY: the attributes hold no pointer.
    unsafe { bpf(LINK_DETACH, &mut attributes) }?;
    std::fs::remove_file(path)
}

/// Opens a pin and asks what it is: what a listing does for each program.
pub(crate) fn inspect(path: &Path) -> io::Result<()> {
    let program = open(path)?;
    let mut info = [0u32; 64];
    let mut attributes: Attributes = [0; 18];
    attributes[0] = raw(&program) | (size_of_val(&info) as u64) << 32;
    attributes[1] = info.as_mut_ptr() as u64;
    // SAFETY: the buffer is live, writable, and of the size that is passed.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(())
}

/// Removes the pins and closes the descriptors.
pub(crate) fn unload(plan: &LoadPlan, loaded: Loaded, folder: &Path) -> io::Result<()> {
    std::fs::remove_file(folder.join("program"))?;
    for map in plan.maps.iter().filter(|map| !map.internal) {
        std::fs::remove_file(folder.join(&map.name))?;
    }
    drop(loaded.maps);
    drop(loaded.program);
    Ok(())
}

fn pin(descriptor: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes: Attributes = [0; 18];
    attributes[0] = path.as_ptr() as u64;
    attributes[1] = raw(descriptor);
    // SAFETY: the path is live and terminated.
    unsafe { bpf(OBJ_PIN, &mut attributes) }?;
    Ok(())
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes: Attributes = [0; 18];
    attributes[0] = path.as_ptr() as u64;
    // SAFETY: the path is live and terminated.
    descriptor(unsafe { bpf(OBJ_GET, &mut attributes) }?)
}
