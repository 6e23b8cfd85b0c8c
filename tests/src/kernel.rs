//! bpf(2) for looking at the kernel from outside of bpfman.

#![allow(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper; attributes are plain bytes here"
)]

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const MAP_LOOKUP_ELEM: i32 = 1;
const OBJ_GET: i32 = 7;
const PROG_TEST_RUN: i32 = 10;
const PROG_GET_NEXT_ID: i32 = 11;
const MAP_GET_NEXT_ID: i32 = 12;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const BTF_GET_NEXT_ID: i32 = 23;
const LINK_CREATE: i32 = 28;
const LINK_GET_NEXT_ID: i32 = 31;

/// `BPF_F_RDONLY` of `BPF_OBJ_GET`.
pub const READ_ONLY: u32 = 1 << 3;

/// `union bpf_attr`, large enough for the commands used here, as words because of its alignment.
pub type Attributes = [u64; 18];

/// bpf(2).
///
/// # Errors
///
/// What the kernel says.
///
/// # Safety
///
/// Pointers in the attributes must be valid for what the command does with them.
pub unsafe fn bpf(command: i32, attributes: &mut Attributes) -> io::Result<i64> {
    // SAFETY: the attributes are a live, writable buffer of the size that is passed; what they point to is the caller's
    // promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_mut_ptr(),
            size_of::<Attributes>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Opens a pin.
///
/// # Errors
///
/// What the kernel says.
pub fn open_pin(path: &Path, flags: u32) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes: Attributes = [0; 18];
    attributes[0] = path.as_ptr() as u64;
    // pathname at 0, bpf_fd at 8, file_flags at 12.
    attributes[1] = u64::from(flags) << 32;
    // SAFETY: the path lives until after the call, and the result is a fresh descriptor that nobody else owns.
    unsafe {
        let descriptor = bpf(OBJ_GET, &mut attributes)?;
        Ok(OwnedFd::from_raw_fd(
            i32::try_from(descriptor).map_err(io::Error::other)?,
        ))
    }
}

/// The head of `struct bpf_map_info`.
#[derive(Clone, Copy, Debug)]
pub struct MapInfo {
    /// `enum bpf_map_type`.
    pub map_type: u32,
    /// What the kernel calls it.
    pub id: u32,
    /// Bytes.
    pub key_size: u32,
    /// Bytes.
    pub value_size: u32,
    /// Entries.
    pub max_entries: u32,
}

/// What kind of map a descriptor is.
///
/// # Errors
///
/// What the kernel says.
pub fn map_info(map: BorrowedFd<'_>) -> io::Result<MapInfo> {
    let mut info = [0u32; 64];
    let mut attributes: Attributes = [0; 18];
    // bpf_fd at 0, info_len at 4, info at 8.
    attributes[0] = u64::from(map.as_raw_fd().unsigned_abs()) | ((size_of_val(&info) as u64) << 32);
    attributes[1] = info.as_mut_ptr() as u64;
    // SAFETY: the info buffer is live, writable, and of the size that is passed.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(MapInfo {
        map_type: info[0],
        id: info[1],
        key_size: info[2],
        value_size: info[3],
        max_entries: info[4],
    })
}

/// Ids of the link behind a pin and of its program.
///
/// # Errors
///
/// What the kernel says.
pub fn link_behind(pin: &Path) -> io::Result<(u32, u32)> {
    let link = open_pin(pin, 0)?;
    let mut info = [0u32; 64];
    let mut attributes: Attributes = [0; 18];
    // bpf_fd at 0, info_len at 4, info at 8.
    attributes[0] = u64::from(link.as_raw_fd().unsigned_abs()) | (12 << 32);
    attributes[1] = info.as_mut_ptr() as u64;
    // SAFETY: the info buffer is live, writable, and larger than the head of `struct bpf_link_info` that is asked for, which
    // has no pointers.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok((info[1], info[2]))
}

/// Puts a pinned program on a hook that the kernel orders (tcx, netkit), directly behind the one with this id, by a link that
/// lives as long as its descriptor.
///
/// # Errors
///
/// What the kernel says.
pub fn attach_behind(
    pin: &Path,
    ifindex: u32,
    attach_type: u32,
    behind: u32,
) -> io::Result<OwnedFd> {
    /// `BPF_F_AFTER` and `BPF_F_ID`.
    const AFTER: u64 = 1 << 4 | 1 << 5;
    let program = open_pin(pin, 0)?;
    let mut attributes: Attributes = [0; 18];
    // prog_fd at 0, target_ifindex at 4, attach_type at 8, flags at 12, relative_id at 16.
    attributes[0] = u64::from(program.as_raw_fd().unsigned_abs()) | (u64::from(ifindex) << 32);
    attributes[1] = u64::from(attach_type) | (AFTER << 32);
    attributes[2] = u64::from(behind);
    // SAFETY: the attributes hold no pointer, and the result is a fresh descriptor that nobody else owns.
    unsafe {
        let descriptor = bpf(LINK_CREATE, &mut attributes)?;
        Ok(OwnedFd::from_raw_fd(
            i32::try_from(descriptor).map_err(io::Error::other)?,
        ))
    }
}

/// Has the kernel test a pinned program of a function: it calls the functions that are there for that (`bpf_fentry_test1`).
///
/// # Errors
///
/// What the kernel says.
pub fn test_run(pin: &Path) -> io::Result<()> {
    let program = open_pin(pin, 0)?;
    let mut attributes: Attributes = [0; 18];
    attributes[0] = u64::from(program.as_raw_fd().unsigned_abs());
    // SAFETY: the attributes hold no pointer.
    unsafe { bpf(PROG_TEST_RUN, &mut attributes) }.map(drop)
}

/// Reads the value of a key into the buffer, which must be as large as the kernel will write: the value's size rounded up
/// to 8, for each possible CPU if the map is per CPU.
///
/// # Errors
///
/// What the kernel says.
pub fn lookup(
    map: BorrowedFd<'_>,
    info: &MapInfo,
    key: &[u8],
    value: &mut [u64],
) -> io::Result<()> {
    let needed = value_words(info);
    if key.len() != info.key_size as usize || value.len() < needed {
        return Err(io::Error::other("key or value buffer does not fit the map"));
    }
    let mut attributes: Attributes = [0; 18];
    attributes[0] = u64::from(map.as_raw_fd().unsigned_abs());
    attributes[1] = key.as_ptr() as u64;
    attributes[2] = value.as_mut_ptr() as u64;
    // SAFETY: key and value are live and, by the check above, as large as this map's.
    unsafe { bpf(MAP_LOOKUP_ELEM, &mut attributes) }?;
    Ok(())
}

/// Words that a lookup writes.
pub fn value_words(info: &MapInfo) -> usize {
    (info.value_size as usize).div_ceil(8) * copies(info)
}

/// Copies of each value: one per possible CPU in per-CPU maps.
pub fn copies(info: &MapInfo) -> usize {
    const PER_CPU: [u32; 4] = [5, 6, 10, 21];
    if PER_CPU.contains(&info.map_type) {
        possible_cpus()
    } else {
        1
    }
}

/// CPUs that could ever be there.
pub fn possible_cpus() -> usize {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text
        .trim()
        .rsplit(['-', ','])
        .next()
        .and_then(|number| number.parse::<usize>().ok());
    last.map_or(1, |last| last + 1)
}

/// Ids of everything of BPF that is in the kernel.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Inventory {
    /// Programs.
    pub programs: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// Links.
    pub links: BTreeSet<u32>,
    /// Blobs of type information.
    pub btf: BTreeSet<u32>,
}

impl Inventory {
    /// What is here and was not there before.
    pub fn since(&self, before: &Inventory) -> Inventory {
        let new =
            |now: &BTreeSet<u32>, before: &BTreeSet<u32>| now.difference(before).copied().collect();
        Inventory {
            programs: new(&self.programs, &before.programs),
            maps: new(&self.maps, &before.maps),
            links: new(&self.links, &before.links),
            btf: new(&self.btf, &before.btf),
        }
    }
}

/// Everything that is there now. Needs CAP_SYS_ADMIN, which tests have.
pub fn inventory() -> Inventory {
    Inventory {
        programs: ids(PROG_GET_NEXT_ID),
        maps: ids(MAP_GET_NEXT_ID),
        links: ids(LINK_GET_NEXT_ID),
        btf: ids(BTF_GET_NEXT_ID),
    }
}

fn ids(command: i32) -> BTreeSet<u32> {
    let mut ids = BTreeSet::new();
    let mut last = 0u32;
    loop {
        let mut attributes: Attributes = [0; 18];
        // start_id at 0, next_id at 4.
        attributes[0] = u64::from(last);
        // SAFETY: the command writes into the attributes only.
        match unsafe { bpf(command, &mut attributes) } {
            Ok(_) => {
                last = (attributes[0] >> 32) as u32;
                ids.insert(last);
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return ids,
            Err(error) => panic!("cannot list what is in the kernel: {error}"),
        }
    }
}

/// Major and minor version of the running kernel.
pub fn version() -> (u32, u32) {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Probes of kernel functions, which kernels can be built without.
///
/// # Errors
///
/// Why not.
pub fn kprobes() -> Result<(), String> {
    const PMU: &str = "/sys/bus/event_source/devices/kprobe";
    if Path::new(PMU).exists() {
        Ok(())
    } else {
        Err(format!("there is no {PMU}"))
    }
}

/// Whether this is a kernel of the virtual machines, which take programs at functions and at security hooks. Others may
/// refuse them, and then bpfman has to say so.
pub fn must_take_trampolines() -> bool {
    matches!(version(), (6, 1) | (6, 12))
}

/// Whether this is the kernel of the virtual machines that is built with netkit.
pub fn must_have_netkit() -> bool {
    version() == (6, 12)
}

/// tcx links, since 6.6.
///
/// # Errors
///
/// Why not.
pub fn tcx() -> Result<(), String> {
    match version() {
        version if version >= (6, 6) => Ok(()),
        (major, minor) => Err(format!("Linux {major}.{minor} has no tcx (since 6.6)")),
    }
}

/// Where a function of the kernel is, as root may know.
pub fn address(function: &str) -> u64 {
    let symbols = std::fs::read_to_string("/proc/kallsyms").expect("symbols");
    let mut lines = symbols.lines().map(|line| line.split_whitespace());
    let address = lines.find_map(|mut words| {
        let address = words.next()?;
        (words.nth(1)? == function).then_some(address)
    });
    u64::from_str_radix(address.expect("the function"), 16).expect("a number")
}
