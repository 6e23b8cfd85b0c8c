//! Messages, servers and clients of `csi.v1`, generated from `proto/csi/v1/csi.proto`.
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated; the proto file says what there is to say"
)]

tonic::include_proto!("csi.v1");
