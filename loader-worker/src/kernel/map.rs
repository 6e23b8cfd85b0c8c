//! Maps.

use super::error::ENOTSUPP;
use super::{Error, cpus, name, sys};
use ipc::plan::MapPlan;
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `BPF_MAP_TYPE_PERF_EVENT_ARRAY`.
const PERF_EVENT_ARRAY: u32 = 4;

/// Creates a map. `inner` is the template of the inner maps, `name` what the kernel shows (cut to 15 characters).
///
/// A perf event array without a size gets one entry per possible CPU. Map types that know nothing about BTF refuse type
/// ids (`ENOTSUPP`); they are made without.
pub fn create(
    plan: &MapPlan,
    btf: Option<BorrowedFd<'_>>,
    inner: Option<BorrowedFd<'_>>,
    name: &str,
) -> Result<OwnedFd, Error> {
    let max_entries = match (plan.map_type, plan.max_entries) {
        (PERF_EVENT_ARRAY, 0) => {
            cpus::possible().map_err(|errno| Error::new("counting possible CPUs", errno))?
        }
        (_, entries) => entries,
    };
    let attributes = |typed: bool| sys::map::Create {
        map_type: plan.map_type,
        key_size: plan.key_size,
        value_size: plan.value_size,
        max_entries,
        map_flags: plan.flags,
        map_name: name::object(name),
        btf_key_type_id: if typed { plan.btf_key_type_id } else { 0 },
        btf_value_type_id: if typed { plan.btf_value_type_id } else { 0 },
        map_extra: u64::from(plan.hash_functions),
        ..sys::map::Create::default()
    };
    let typed = btf.is_some() && (plan.btf_key_type_id != 0 || plan.btf_value_type_id != 0);
    let created = match sys::map::create(attributes(typed), inner, btf.filter(|_| typed)) {
        Err(ENOTSUPP | Errno::INVAL) if typed => sys::map::create(attributes(false), inner, None),
        answer => answer,
    };
    created.map_err(|errno| Error::new("BPF_MAP_CREATE", errno))
}

/// Writes [`MapPlan::initial`] to element 0.
pub fn write_initial(map: BorrowedFd<'_>, contents: &[u8]) -> Result<(), Error> {
    update(map, &0_u32.to_ne_bytes(), contents)
}

/// Writes an element; key and value must be as long as the map's (`EINVAL`).
pub fn update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> Result<(), Error> {
    sys::map::update(map, key, value).map_err(|errno| Error::new("BPF_MAP_UPDATE_ELEM", errno))
}

/// Puts a map or a program into a map of such: the kernel takes a descriptor for the value.
pub fn put(map: BorrowedFd<'_>, key: u32, value: BorrowedFd<'_>) -> Result<(), Error> {
    update(map, &key.to_ne_bytes(), &value.as_raw_fd().to_ne_bytes())
}

/// The element of a key; of per-CPU maps the values of all possible CPUs, each rounded up to 8 bytes.
pub fn lookup(map: BorrowedFd<'_>, key: &[u8]) -> Result<Vec<u8>, Error> {
    sys::map::lookup(map, key).map_err(|errno| Error::new("BPF_MAP_LOOKUP_ELEM", errno))
}

/// Forbids user space to write to the map for ever, so that the verifier may take its contents for constants.
pub fn freeze(map: BorrowedFd<'_>) -> Result<(), Error> {
    sys::map::freeze(map).map_err(|errno| Error::new("BPF_MAP_FREEZE", errno))
}
