//! What users install: a Debian package, a container image. Made from the same folder tree.

pub(crate) mod container;
pub(crate) mod deb;
mod documents;
mod tree;
