//! Messages, server and client of `bpfman.v1`, generated from `proto/bpfman/v1/bpfman.proto`.
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated; the proto file says what there is to say"
)]

tonic::include_proto!("bpfman.v1");

/// The descriptors of the interface, for the reflection service.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bpfman.v1.descriptors"));
