//! What the fuzz target does, with its seeds and what is left of them when bytes are changed.

#![allow(clippy::unwrap_used, reason = "a test may")]

use bpfman_tests::every_signature;

const SEEDS: [&[u8]; 5] = [
    include_bytes!("../fuzz/seeds/signatures/annotations"),
    include_bytes!("../fuzz/seeds/signatures/bundle"),
    include_bytes!("../fuzz/seeds/signatures/key"),
    include_bytes!("../fuzz/seeds/signatures/payload"),
    include_bytes!("../fuzz/seeds/signatures/root"),
];

#[test]
fn signatures_with_changed_bytes_say_nothing_else() {
    for seed in SEEDS {
        every_signature::read(seed);
        for step in 0..60 {
            let at = 1 + (step * 7919) % (seed.len() - 1);
            let mut changed = seed.to_vec();
            changed[at] ^= 1 << (step % 8);
            every_signature::read(&changed);
            every_signature::read(&changed[..at]);
        }
    }
}

#[test]
fn the_seeds_are_good_signatures() {
    for (seed, good) in SEEDS.into_iter().zip([true, true, false, false, false]) {
        assert_eq!(every_signature::is_good(seed), good);
    }
}
