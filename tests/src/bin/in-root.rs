//! `in-root DIRECTORY PROGRAM ARGUMENTS…`: runs a program as in a container, in a mount namespace of its own whose root is the
//! directory. What it needs of the host's libraries is there as well, and processes.

#![allow(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "starting a program in a namespace is what this is for"
)]

use rustix::mount::{MountPropagationFlags, mount_bind_recursive, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(root), Some(program)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other(
            "usage: in-root DIRECTORY PROGRAM ARGUMENTS…",
        ));
    };
    // SAFETY: there is one thread, and it keeps its descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS)? };
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    for shared in ["usr", "lib", "lib64", "proc"] {
        let (from, to) = (Path::new("/").join(shared), Path::new(&root).join(shared));
        if from.is_dir() {
            std::fs::create_dir_all(&to)?;
            mount_bind_recursive(from, to)?;
        }
    }
    rustix::process::chroot(&root)?;
    rustix::process::chdir("/")?;
    Err(Command::new(program).args(arguments).exec())
}
