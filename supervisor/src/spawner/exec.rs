//! fork(2) and execveat(2).
#![allow(
    unsafe_code,
    reason = "fork and exec have no safe wrapper: what may run between them is for the caller to prove"
)]

use super::Child;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::{CString, c_char, c_int};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Which side of a fork this is.
pub(super) enum Fork {
    /// The parent, with the child's id.
    Parent(Pid),
    /// The child.
    Child,
}

/// Forks. The caller has made sure that there is one thread, so that the child may do anything.
pub(super) fn fork() -> io::Result<Fork> {
    // SAFETY: with a single thread the child's copy of the address space is consistent: no lock is held by a thread that
    // does not exist there.
    match unsafe { libc::fork() } {
        0 => Ok(Fork::Child),
        pid => Pid::from_raw(pid)
            .filter(|_| pid > 0)
            .map(Fork::Parent)
            .ok_or_else(io::Error::last_os_error),
    }
}

/// Ignores the signals by which terminals and service managers ask a process to end.
pub(super) fn ignore_terminating_signals() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: SIG_IGN is no function of ours; nothing else in this process handles these signals.
        if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Starts a program with descriptors 2 and 3, and reports whether the exec succeeded.
pub(super) fn start(
    file: BorrowedFd<'_>,
    arguments: &[CString],
    control: &OwnedFd,
    log: &OwnedFd,
) -> Result<Child, Errno> {
    // Everything that allocates happens before the fork.
    let mut argv: Vec<*const c_char> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    argv.push(std::ptr::null());
    let environment: [*const c_char; 1] = [std::ptr::null()];
    let (report, its_report) = pipe_with(PipeFlags::CLOEXEC)?;

    // SAFETY: the spawner is single-threaded, and the child calls only async-signal-safe functions before exec or _exit.
    let pid = match unsafe { libc::fork() } {
        0 => {
            // SAFETY: all pointers were made above and live in this copy of the address space; the strings end in NUL
            // and the lists in null pointers.
            unsafe {
                exec(
                    file.as_raw_fd(),
                    argv.as_ptr(),
                    environment.as_ptr(),
                    control.as_raw_fd(),
                    log.as_raw_fd(),
                );
                let errno = (*libc::__errno_location()).to_ne_bytes();
                libc::write(its_report.as_raw_fd(), errno.as_ptr().cast(), errno.len());
                libc::_exit(127)
            }
        }
        pid => Pid::from_raw(pid)
            .filter(|_| pid > 0)
            .ok_or_else(last_errno)?,
    };
    drop(its_report);
    // The child cannot have been reaped by anybody: the id is its own.
    let pidfd = pidfd_open(pid, PidfdFlags::empty());
    let mut errno = [0; 4];
    let failed = matches!(
        rustix::io::retry_on_intr(|| rustix::io::read(&report, &mut errno)),
        Ok(4)
    );
    match (failed, pidfd) {
        (false, Ok(pidfd)) => Ok(Child { pid, pidfd }),
        (true, _) => {
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            Err(Errno::from_raw_os_error(c_int::from_ne_bytes(errno)))
        }
        (false, Err(error)) => {
            // Without a pidfd it could not be watched: it ends by the closing of its control socket.
            Err(error)
        }
    }
}

/// Returns only when it failed, errno set. Async-signal-safe: system calls alone, no allocation.
///
/// # Safety
///
/// To be called in a forked child; `argv` and `environment` are lists of C strings that end in a null pointer.
unsafe fn exec(
    file: RawFd,
    argv: *const *const c_char,
    environment: *const *const c_char,
    control: RawFd,
    log: RawFd,
) {
    // SAFETY: 0 and 1 are /dev/null already, 2 and 3 are replaced in a process that owns nothing; the pointers are the
    // caller's to vouch for.
    unsafe {
        // Until the worker has changed its user id; then it ends by the closing of its control socket.
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0
            || libc::dup2(log, 2) < 0
            || libc::dup2(control, 3) < 0
            || libc::close_range(4, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as c_int) != 0
        {
            return;
        }
        libc::syscall(
            libc::SYS_execveat,
            file,
            c"".as_ptr(),
            argv,
            environment,
            libc::AT_EMPTY_PATH,
        );
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::AGAIN)
}
