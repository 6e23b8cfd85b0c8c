//! Entry point of `bpfman-api`.
fn main() {}
