//! `as-user UID PROGRAM ARGUMENTS…`: runs a program as a user without groups and capabilities.

#![allow(
    clippy::disallowed_methods,
    reason = "starting a program is what this is for"
)]

use rustix::fs::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(uid), Some(program)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: as-user UID PROGRAM ARGUMENTS…"));
    };
    let id: u32 = uid.to_string_lossy().parse().map_err(io::Error::other)?;
    // There is one thread, so that the thread's identity is the process's. Leaving uid 0 clears every capability.
    set_thread_groups(&[])?;
    set_thread_res_gid(Gid::from_raw(id), Gid::from_raw(id), Gid::from_raw(id))?;
    set_thread_res_uid(Uid::from_raw(id), Uid::from_raw(id), Uid::from_raw(id))?;
    Err(Command::new(program).args(arguments).exec())
}
