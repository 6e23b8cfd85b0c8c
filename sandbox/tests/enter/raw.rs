#![allow(
    unsafe_code,
    reason = "the test tries system calls that no sane library offers"
)]

//! System calls without a wrapper, as an attacker in the process would make them.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};

fn result(value: libc::c_long) -> io::Result<i32> {
    if value < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(value as i32)
    }
}

fn path(text: &str) -> CString {
    CString::new(text).expect("no NUL in a test")
}

pub fn unshare_mounts() -> io::Result<()> {
    // SAFETY: no memory is passed; this process has one thread.
    result(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into()).map(drop)
}

/// Opens a path as this descriptor.
pub fn open_path_as(file: &str, descriptor: i32) {
    let file = path(file);
    // SAFETY: `file` is a string that lives on; the descriptor that is replaced belongs to nobody in this process.
    unsafe {
        let opened = libc::open(file.as_ptr(), libc::O_PATH);
        assert!(opened >= 0, "{:?}", io::Error::last_os_error());
        if opened != descriptor {
            assert_eq!(libc::dup2(opened, descriptor), descriptor);
            libc::close(opened);
        }
    }
}

/// A network namespace that lasts as long as this descriptor.
pub fn open_network_namespace_as(descriptor: i32) {
    let open = || {
        // SAFETY: no memory is passed; only the thread, which ends here, is moved.
        result(unsafe { libc::unshare(libc::CLONE_NEWNET) }.into()).expect("a namespace");
        std::fs::File::open("/proc/thread-self/ns/net").expect("its file")
    };
    let namespace = std::thread::spawn(open).join().expect("the thread");
    if namespace.as_raw_fd() == descriptor {
        // It stays open.
        let _descriptor = namespace.into_raw_fd();
    } else {
        // SAFETY: the descriptor that is replaced belongs to nobody in this process.
        let replaced = unsafe { libc::dup2(namespace.as_raw_fd(), descriptor) };
        assert_eq!(replaced, descriptor);
    }
}

pub fn enter_namespace(descriptor: i32, kind: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    result(unsafe { libc::setns(descriptor, kind) }.into()).map(drop)
}

/// Makes descriptor 2 a file to append to.
pub fn open_log(file: &str) {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(file)
        .expect("a log");
    // SAFETY: what is replaced is standard error, which nobody owns.
    let replaced = unsafe { libc::dup2(log.as_raw_fd(), 2) };
    assert_eq!(replaced, 2);
}

/// A socket that hears itself, as this descriptor.
pub fn open_socket_as(descriptor: i32) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let name = format!("bpfman-sandbox-probe-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name).expect("short");
    let socket = UnixDatagram::bind_addr(&address).expect("a free name");
    socket.connect_addr(&address).expect("itself");
    if socket.as_raw_fd() == descriptor {
        // It stays open.
        let _descriptor = socket.into_raw_fd();
    } else {
        // SAFETY: the descriptor that is replaced belongs to nobody in this process.
        let replaced = unsafe { libc::dup2(socket.as_raw_fd(), descriptor) };
        assert_eq!(replaced, descriptor);
    }
}

/// A descriptor that the profile keeps.
pub fn borrow(descriptor: i32) -> BorrowedFd<'static> {
    // SAFETY: 0 to 3 are open as long as a probe lives: `enter` says so.
    unsafe { BorrowedFd::borrow_raw(descriptor) }
}

pub fn close_from(first: u32) {
    // SAFETY: no memory is passed; nothing in this process owns these descriptors.
    result(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })
        .expect("close_range");
}

pub fn socket(family: i32, kind: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    result(unsafe { libc::socket(family, kind, 0) }.into()).map(drop)
}

pub fn execute() -> io::Result<()> {
    let program = path("/bin/true");
    let arguments = [program.as_ptr(), std::ptr::null()];
    // SAFETY: both arrays end with null and live on.
    result(
        unsafe {
            libc::execve(
                program.as_ptr(),
                arguments.as_ptr(),
                arguments[1..].as_ptr().cast(),
            )
        }
        .into(),
    )
    .map(drop)
}

pub fn trace(pid: i32) -> io::Result<()> {
    // SAFETY: PTRACE_ATTACH takes no memory.
    result(unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, 0, 0) }).map(drop)
}

pub fn become_root() -> io::Result<()> {
    // SAFETY: no memory is passed.
    result(unsafe { libc::syscall(libc::SYS_setresuid, 0, 0, 0) }).map(drop)
}

pub fn fork() -> io::Result<()> {
    // SAFETY: the child, if there is one, ends at once.
    match result(unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) })? {
        // SAFETY: ends the process.
        0 => unsafe { libc::_exit(0) },
        _ => Ok(()),
    }
}

pub fn mount_tmpfs(target: &str) -> io::Result<()> {
    let (target, kind) = (path(target), path("tmpfs"));
    // SAFETY: the strings live on.
    result(
        unsafe {
            libc::mount(
                kind.as_ptr(),
                target.as_ptr(),
                kind.as_ptr(),
                0,
                std::ptr::null(),
            )
        }
        .into(),
    )
    .map(drop)
}

pub fn unmount(flags: i32) -> io::Result<()> {
    let nowhere = path("/nowhere");
    // SAFETY: the string lives on.
    result(unsafe { libc::umount2(nowhere.as_ptr(), flags) }.into()).map(drop)
}

pub fn move_mount(flags: i32) -> io::Result<()> {
    let empty = path("");
    // SAFETY: the string lives on.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            -1,
            empty.as_ptr(),
            -1,
            empty.as_ptr(),
            flags,
        )
    };
    result(moved).map(drop)
}

pub fn signal_parent() -> io::Result<()> {
    // SAFETY: no memory is passed.
    result(unsafe { libc::kill(libc::getppid(), 0) }.into()).map(drop)
}

pub fn executable_memory() -> io::Result<()> {
    let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping that nothing points to.
    match unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) } {
        libc::MAP_FAILED => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// bpf(2) with attributes given as 32-bit words.
pub fn bpf(command: u32, attributes: &[u32]) -> io::Result<i32> {
    let mut words = [0u32; 32];
    words[..attributes.len()].copy_from_slice(attributes);
    // SAFETY: `words` lives on; addresses in it were made by the callers below from memory that lives on too.
    result(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            words.as_mut_ptr(),
            size_of_val(&words),
        )
    })
}

fn halves<T>(pointer: *const T) -> [u32; 2] {
    let address = pointer as u64;
    [address as u32, (address >> 32) as u32]
}

/// A map of one value.
pub fn create_map() -> io::Result<i32> {
    const BPF_MAP_TYPE_ARRAY: u32 = 2;
    bpf(0, &[BPF_MAP_TYPE_ARRAY, 4, 8, 1])
}

/// A program that passes every packet.
pub fn load_xdp() -> io::Result<i32> {
    const BPF_PROG_TYPE_XDP: u32 = 6;
    // r0 = 2 (XDP_PASS); exit.
    let instructions: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];
    let license = path("Apache-2.0");
    let [code_low, code_high] = halves(instructions.as_ptr());
    let [license_low, license_high] = halves(license.as_ptr());
    bpf(
        5,
        &[
            BPF_PROG_TYPE_XDP,
            2,
            code_low,
            code_high,
            license_low,
            license_high,
        ],
    )
}

pub fn pin(descriptor: i32, file: &str) -> io::Result<()> {
    let file = path(file);
    let [low, high] = halves(file.as_ptr());
    bpf(6, &[low, high, descriptor as u32]).map(drop)
}

/// A uprobe on the first instruction of a file's text.
pub fn open_uprobe(kind: u32, file: &str, offset: u64) -> io::Result<()> {
    let file = path(file);
    let mut attributes = [0u64; 16];
    attributes[0] = u64::from(kind) | (128 << 32);
    // config1 is the path, config2 the offset: linux/perf_event.h.
    attributes[7] = file.as_ptr() as u64;
    attributes[8] = offset;
    // SAFETY: `attributes` says its own size, and it and `file` live on.
    result(unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), -1, 0, -1, 8) })
        .map(drop)
}

pub fn change_group(descriptor: i32, gid: u32) -> io::Result<()> {
    // SAFETY: the empty string lives for ever.
    result(
        unsafe { libc::fchownat(descriptor, c"".as_ptr(), u32::MAX, gid, libc::AT_EMPTY_PATH) }
            .into(),
    )
    .map(drop)
}

pub fn change_owner(descriptor: i32, uid: u32) -> io::Result<()> {
    // SAFETY: the empty string lives for ever.
    result(
        unsafe { libc::fchownat(descriptor, c"".as_ptr(), uid, u32::MAX, libc::AT_EMPTY_PATH) }
            .into(),
    )
    .map(drop)
}

pub fn is_dumpable() -> bool {
    // SAFETY: no memory is passed.
    unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 }
}

/// A call that no policy names and that harms nobody.
pub fn harmless() -> io::Result<()> {
    // SAFETY: no memory is passed.
    result(unsafe { libc::syscall(libc::SYS_getpgid, 0) }).map(drop)
}
