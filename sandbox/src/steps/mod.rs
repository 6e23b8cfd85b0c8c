//! The steps of `enter`, one per file, in the order in which they are taken.

pub(crate) mod auxiliary_vector;
pub(crate) mod capabilities;
pub(crate) mod descriptors;
pub(crate) mod identity;
pub(crate) mod landlock;
pub(crate) mod limits;
pub(crate) mod no_new_privs;
pub(crate) mod not_dumpable;
pub(crate) mod parent_death;
pub(crate) mod seccomp;
pub(crate) mod threads;
pub(crate) mod umask;
pub(crate) mod working_directory;
