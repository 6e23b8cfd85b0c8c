//! The first message in each direction of every link.

use crate::build;
use crate::role::Role;
use bincode::{Decode, Encode};

/// Who I am. Anything else before it is a fault.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct Hello {
    /// Protocol version of the sender.
    pub version: u16,
    /// The sender's role; must be the one that the link was made for.
    pub role: Role,
    /// Build of the sender. Equal on links between workers; informative from clients.
    pub build_id: String,
    /// Incarnation of the sender, 1 for the first start of a role under one supervisor; 0 from clients.
    pub generation: u32,
}

impl Hello {
    /// The `Hello` of this build.
    pub fn new(role: Role, generation: u32) -> Self {
        Self {
            version: build::PROTOCOL_VERSION,
            role,
            build_id: build::BUILD_ID.to_owned(),
            generation,
        }
    }
}
