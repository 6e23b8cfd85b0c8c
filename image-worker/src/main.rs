//! `bpfman-image`.

fn main() {}
