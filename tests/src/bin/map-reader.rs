//! `map-reader UID PIN`: drops to a user without groups and capabilities, opens the pin read-only, prints its numbers.
//!
//! This is what an application does that bpfman serves: it needs the file mode of the pin and nothing else.

use bpfman_tests::kernel::{self, MapInfo};
use rustix::fs::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, uid, pin] = &arguments[..] else {
        return Err(io::Error::other("usage: map-reader UID PIN"));
    };
    let id: u32 = uid.parse().map_err(io::Error::other)?;
    // There is one thread, so that the thread's identity is the process's. Leaving uid 0 clears every capability.
    set_thread_groups(&[])?;
    set_thread_res_gid(Gid::from_raw(id), Gid::from_raw(id), Gid::from_raw(id))?;
    set_thread_res_uid(Uid::from_raw(id), Uid::from_raw(id), Uid::from_raw(id))?;

    let map = kernel::open_pin(Path::new(pin), kernel::READ_ONLY)?;
    let info = kernel::map_info(map.as_fd())?;
    for entry in 0..info.max_entries {
        let mut value = vec![0; kernel::value_words(&info)];
        kernel::lookup(map.as_fd(), &info, &entry.to_ne_bytes(), &mut value)?;
        let numbers: Vec<String> = sums(&info, &value).iter().map(u64::to_string).collect();
        println!("{}", numbers.join(" "));
    }
    Ok(())
}

/// The numbers of one value, copies of CPUs added up.
fn sums(info: &MapInfo, value: &[u64]) -> Vec<u64> {
    let width = value.len() / kernel::copies(info);
    (0..width)
        .map(|lane| value.iter().skip(lane).step_by(width).sum())
        .collect()
}
