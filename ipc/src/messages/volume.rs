//! Volumes of Kubernetes pods: the maps of a program, in a file system of their own.

use bincode::{Decode, Encode};

/// A volume, and where it is to be seen. Since version 2.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct VolumePlace {
    /// What the kubelet calls it: one name of a file.
    pub volume_id: String,
    /// Absolute path of the directory of the pod.
    pub target: String,
}

/// How a volume is made. Since version 2.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct VolumeAccess {
    /// The group that may open the maps; root alone may when there is none.
    pub group: Option<u32>,
    /// Whether nobody may change the maps by way of the volume.
    pub read_only: bool,
}
