//! What the fuzz target does, with the golden frames and what is left of them when bytes are changed.

#![allow(clippy::unwrap_used, reason = "a test may")]

use bpfman_tests::every_edge::{self, EDGES};
use ipc::permissions;
use ipc::role::Role;
use std::collections::BTreeSet;

const GOLDEN: &str = include_str!("../golden/frames.txt");

#[test]
fn no_edge_is_left_out() {
    let read: BTreeSet<_> = EDGES.iter().map(|(from, to, _)| (*from, *to)).collect();
    let all = Role::ALL
        .into_iter()
        .flat_map(|from| Role::ALL.map(|to| (from, to)));
    let talk: BTreeSet<_> = all
        .filter(|(from, to)| permissions::rows(*from, *to).is_some())
        .collect();
    assert_eq!(read, talk);
    assert_eq!(read.len(), EDGES.len());
}

#[test]
fn golden_frames_with_changed_bytes_panic_nobody() {
    for (number, line) in GOLDEN.lines().enumerate() {
        let hex = line.rsplit(' ').next().unwrap();
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        every_edge::read(&bytes);
        // Another byte of each frame; what follows a greeting has its generation.
        let mut changed = bytes.clone();
        changed[16] = 1;
        every_edge::read(&changed);
        for step in 0..8 {
            let at = (number * 7 + step * 13) % changed.len();
            let before = std::mem::replace(&mut changed[at], 0xff);
            every_edge::read(&changed);
            changed[at] = before;
        }
        every_edge::read(&changed[..changed.len() - 1]);
    }
}
