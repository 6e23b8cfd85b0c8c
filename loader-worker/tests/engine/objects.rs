//! Everything that the kernel has, whoever made it: how the tests see what was left behind.
#![allow(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper for enumerating, which only tests do"
)]

use std::os::fd::{FromRawFd, OwnedFd};

/// What to enumerate.
#[derive(Clone, Copy)]
pub(crate) enum Sort {
    Program,
    Map,
}

/// Every object of one sort, by `BPF_*_GET_NEXT_ID` and `BPF_*_GET_FD_BY_ID`.
pub(crate) fn objects(sort: Sort) -> Vec<OwnedFd> {
    let (next, open) = match sort {
        Sort::Program => (11, 13),
        Sort::Map => (12, 14),
    };
    let mut found = Vec::new();
    let mut id = 0;
    loop {
        let mut attributes = [id, 0, 0];
        if bpf(next, &mut attributes) != 0 {
            return found;
        }
        id = attributes[1];
        let descriptor = bpf(open, &mut [id, 0, 0]);
        if let Some(descriptor) = i32::try_from(descriptor)
            .ok()
            .filter(|descriptor| *descriptor >= 0)
        {
            // SAFETY: the kernel has just made this descriptor for this call.
            found.push(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
}

fn bpf(command: i32, attributes: &mut [u32; 3]) -> libc::c_long {
    // SAFETY: the array is as long as it claims for the time of the call, which writes nothing beyond it.
    unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_mut_ptr(),
            size_of_val(attributes),
        )
    }
}
