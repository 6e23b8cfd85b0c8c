//! Images that are made here: which object files go into one, and what its labels say.

pub(crate) mod inputs;
pub(crate) mod labels;
pub(crate) mod platforms;
pub(crate) mod registry;
