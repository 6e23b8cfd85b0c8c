//! rustix asks the kernel for the auxiliary vector when it first needs the page size or the vDSO, and keeps the answer.
//! It asks by a prctl that no policy allows, and before Linux 6.4 by a file in /proc: so it is made to ask now.

pub(crate) fn load() {
    rustix::param::page_size();
}
