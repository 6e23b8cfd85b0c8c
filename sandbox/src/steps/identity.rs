//! Groups, group id, user id, in this order: each needs the privilege that the next gives up.

use crate::{EnterError, Identity};
use rustix::process::{Gid, Uid, getgroups};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

const STEP: &str = "identity";
const REMEDY: &str = "start bpfmand as root with CAP_SETUID and CAP_SETGID";

/// The secure bits keep the kernel from touching the capability sets here, also for user id 0.
pub(crate) fn assume(identity: &Identity) -> Result<(), EnterError> {
    let groups: Vec<Gid> = identity
        .groups
        .iter()
        .map(|&gid| Gid::from_raw(gid))
        .collect();
    // Without CAP_SETGID even setting the same groups is refused.
    if getgroups().ok().as_ref() != Some(&groups) {
        set_thread_groups(&groups).map_err(EnterError::refused(
            STEP,
            format!("set the groups {:?}", identity.groups),
            REMEDY,
        ))?;
    }
    let gid = Gid::from_raw(identity.gid);
    set_thread_res_gid(gid, gid, gid).map_err(EnterError::refused(
        STEP,
        format!("become group {}", identity.gid),
        REMEDY,
    ))?;
    let uid = Uid::from_raw(identity.uid);
    set_thread_res_uid(uid, uid, uid).map_err(EnterError::refused(
        STEP,
        format!("become user {}", identity.uid),
        REMEDY,
    ))
}
