//! if_nameindex(3): the only list of interfaces that needs neither /proc nor /sys. glibc asks netlink.
#![allow(unsafe_code, reason = "if_nameindex(3) has no safe wrapper")]

use super::bpf::last_errno;
use rustix::io::Errno;
use std::ffi::CStr;

/// Names of all interfaces of the network namespace.
pub(in crate::kernel) fn names() -> Result<Vec<String>, Errno> {
    // SAFETY: the function takes nothing; its answer is null or an array that ends with an entry of index 0.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return Err(last_errno());
    }
    let mut names = Vec::new();
    let mut entry = list;
    loop {
        // SAFETY: `entry` is within the array: every entry before it had an index, so was not the last.
        let interface = unsafe { &*entry };
        if interface.if_index == 0 || interface.if_name.is_null() {
            break;
        }
        // SAFETY: the name of an entry that is not the last is a string with a NUL at its end.
        names.push(
            unsafe { CStr::from_ptr(interface.if_name) }
                .to_string_lossy()
                .into_owned(),
        );
        // SAFETY: this entry was not the last, so there is another.
        entry = unsafe { entry.add(1) };
    }
    // SAFETY: `list` came from if_nameindex and is freed once; the names were copied.
    unsafe { libc::if_freenameindex(list) };
    Ok(names)
}
