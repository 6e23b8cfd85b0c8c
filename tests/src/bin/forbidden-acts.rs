//! `forbidden-acts ROLE|none FOLDER ACT [OPERAND]`: enters the sandbox of a worker as the worker itself does, then tries one act.
//!
//! Prints `entered`, then `done` or `refused: ERROR`; or is ended by the kernel. With `none` it tries without a sandbox,
//! which shows that the act would succeed. This is a program of the tests: the workers have no such request.

#![allow(
    unsafe_code,
    reason = "acts are raw system calls, so that nothing else decides how they end"
)]

use bpfman_tests::process::UNNAMED;
use ipc::role::Role;
use rustix::net::{AddressFamily, SocketAddrV4, SocketType};
use sandbox::seccomp::Policy;
use sandbox::{Identity, Mode, WorkerArguments};
use std::error::Error;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, folder, act, operand @ ..] = &arguments[..] else {
        return Err("usage: forbidden-acts ROLE|none FOLDER ACT [OPERAND]".into());
    };
    let operand = operand.first().map_or("", String::as_str);
    // The control socket's place, which a worker finds taken.
    let control = File::open("/dev/null")?;
    if control.as_raw_fd() != sandbox::profiles::CONTROL_SOCKET {
        return Err("more descriptors than the standard three were inherited".into());
    }
    if role != "none" {
        enter(role, Path::new(folder))?;
    }
    println!("entered");
    match attempt(act, operand) {
        Ok(()) => println!("done"),
        Err(error) => println!("refused: {error}"),
    }
    Ok(())
}

/// What the worker's `main` does, with the worker's own policy; its directories are below the folder, and its own as bpfmand
/// makes them.
fn enter(role: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let (role, policy) = match role {
        "loader" => (
            Role::Loader,
            include_str!("../../../loader-worker/sandbox/seccomp.json"),
        ),
        "image" => (
            Role::Image,
            include_str!("../../../image-worker/sandbox/seccomp.json"),
        ),
        "api" => (
            Role::Api,
            include_str!("../../../api-worker/sandbox/seccomp.json"),
        ),
        other => return Err(format!("no worker {other}").into()),
    };
    for name in ["run/fs", "state", "cache"] {
        std::os::unix::fs::chown(folder.join(name), Some(UNNAMED), Some(UNNAMED))?;
    }
    let arguments = WorkerArguments {
        role,
        helper: None,
        identity: Identity {
            uid: UNNAMED,
            gid: UNNAMED,
            groups: Vec::new(),
        },
        client_gid: None,
        generation: 1,
        mode: Mode::Enforce,
        runtime_dir: folder.join("run"),
        state_dir: folder.join("state"),
        cache_dir: folder.join("cache"),
        log: "info".to_owned(),
        kubelet_dir: None,
        read: Vec::new(),
    };
    let profile = sandbox::profiles::profile(&arguments, Policy::parse(policy)?);
    sandbox::enter(&profile, Mode::Enforce)?;
    Ok(())
}

fn attempt(act: &str, operand: &str) -> io::Result<()> {
    match act {
        "nothing" => Ok(()),
        // An array map of one entry: map_type, key_size, value_size, max_entries.
        "bpf-map-create" => bpf(0, &[2, 4, 8, 1]),
        // BPF_PROG_GET_NEXT_ID: other people's programs. That there are none is an answer too.
        "bpf-next-id" => match bpf(11, &[0]) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other,
        },
        "open-shadow" => fs::read("/etc/shadow").map(drop),
        "write-outside" => fs::write(operand, b"x"),
        "read-proc" => fs::read(format!("/proc/{operand}/environ")).map(drop),
        "tcp-connect" => tcp_connect(operand),
        "udp-socket" => {
            rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
            Ok(())
        }
        "tcp-listen" => {
            let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
            rustix::net::bind(
                &socket,
                &SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0),
            )?;
            Ok(rustix::net::listen(&socket, 1)?)
        }
        "packet-socket" => socket(AddressFamily::PACKET, SocketType::DGRAM),
        "unix-socket" => socket(AddressFamily::UNIX, SocketType::STREAM),
        "exec" => exec(),
        "ptrace" => ptrace(operand),
        "kill" => kill(operand),
        // SAFETY: setuid takes no pointer.
        "become-root" => check(unsafe { libc::syscall(libc::SYS_setresuid, 0, 0, 0) }),
        // SAFETY: unshare takes no pointer.
        "unshare-user" => check(unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER) }),
        "mount" => mount(operand),
        other => Err(io::Error::other(format!("unknown act {other}"))),
    }
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn bpf(command: i32, words: &[u32]) -> io::Result<()> {
    let mut attributes = [0u32; 36];
    attributes[..words.len()].copy_from_slice(words);
    // SAFETY: the attributes are a live buffer of the size that is passed, without pointers in it.
    check(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_mut_ptr(),
            size_of_val(&attributes),
        )
    })
}

fn socket(family: AddressFamily, kind: SocketType) -> io::Result<()> {
    rustix::net::socket(family, kind, None)?;
    Ok(())
}

fn tcp_connect(port: &str) -> io::Result<()> {
    let port: u16 = port.parse().map_err(io::Error::other)?;
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::connect(
        &socket,
        &SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, port),
    )?;
    Ok(())
}

fn exec() -> io::Result<()> {
    let program = CString::new("/bin/echo")?;
    let word = CString::new("done")?;
    let argv = [program.as_ptr(), word.as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null::<libc::c_char>()];
    // SAFETY: path, arguments and environment are live, terminated arrays.
    check(unsafe {
        libc::syscall(
            libc::SYS_execve,
            program.as_ptr(),
            argv.as_ptr(),
            environment.as_ptr(),
        )
    })
}

/// Mounts, and unmounts again when that was possible.
fn mount(folder: &str) -> io::Result<()> {
    let folder = CString::new(folder)?;
    let kind = c"tmpfs".as_ptr();
    // SAFETY: the names are live and terminated; tmpfs takes no data.
    unsafe {
        check(libc::syscall(
            libc::SYS_mount,
            kind,
            folder.as_ptr(),
            kind,
            0,
            0,
        ))?;
        check(libc::syscall(libc::SYS_umount2, folder.as_ptr(), 0))
    }
}

fn pid(operand: &str) -> io::Result<libc::pid_t> {
    operand.parse().map_err(io::Error::other)
}

fn ptrace(operand: &str) -> io::Result<()> {
    let pid = pid(operand)?;
    // SAFETY: neither request reads or writes through its pointers.
    unsafe {
        check(libc::syscall(
            libc::SYS_ptrace,
            libc::PTRACE_ATTACH,
            pid,
            0,
            0,
        ))?;
        libc::waitpid(pid, std::ptr::null_mut(), 0);
        check(libc::syscall(
            libc::SYS_ptrace,
            libc::PTRACE_DETACH,
            pid,
            0,
            0,
        ))
    }
}

fn kill(operand: &str) -> io::Result<()> {
    // A signal whose default is to be ignored: only the permission matters.
    // SAFETY: kill takes no pointer.
    check(unsafe { libc::syscall(libc::SYS_kill, pid(operand)?, libc::SIGURG) })
}
