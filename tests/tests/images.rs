//! What the fuzz target does, with what tools really make and what is left of it when bytes are changed.

#![allow(clippy::unwrap_used, reason = "a test may")]

use bpfman_tests::every_image;
use oci::build::{self, Input, Recipe};
use oci::manifest::Platform;
use std::collections::BTreeSet;

#[test]
fn images_with_changed_bytes_panic_nobody() {
    let input = Input {
        platform: Platform::host(),
        name: "counter.o".to_owned(),
        object: bpf::COUNTER.to_vec(),
    };
    let table = |name: &str, kind: &str| [(name.to_owned(), kind.to_owned())].into();
    let image = build::build(&Recipe {
        inputs: vec![input],
        programs: table("xdp_count", "xdp"),
        maps: table("traffic", "per_cpu_array"),
        created: (0, "1970-01-01T00:00:00Z".to_owned()),
        index: true,
    })
    .unwrap();
    let (layer, config) = (&image.blobs[0].bytes, &image.blobs[1].bytes);
    let challenge =
        "Bearer realm=\"https://auth.example/token\",service=\"s\",scope=\"repository:a:pull\"";
    let seeds: [(u8, &[u8]); 8] = [
        (0, b"registry.example:5000/acme/counter:v1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, &image.manifests[0].bytes),
        (2, &image.top.bytes),
        (3, config),
        (4, br#"{"xdp_count":"xdp","old":"probe"}"#),
        (5, layer),
        (5, bpf::COUNTER),
        (6, challenge.as_bytes()),
    ];
    for (kind, bytes) in seeds {
        let seed = [&[kind][..], bytes].concat();
        every_image::read(&seed);
        for step in 0..60 {
            let at = 1 + (step * 7919) % (seed.len() - 1);
            let mut changed = seed.clone();
            changed[at] ^= 1 << (step % 8);
            every_image::read(&changed);
            every_image::read(&changed[..at]);
        }
    }
}

const SEEDS: [&[u8]; 11] = [
    include_bytes!("../fuzz/seeds/images/artifact"),
    include_bytes!("../fuzz/seeds/images/challenge"),
    include_bytes!("../fuzz/seeds/images/config"),
    include_bytes!("../fuzz/seeds/images/index"),
    include_bytes!("../fuzz/seeds/images/label"),
    include_bytes!("../fuzz/seeds/images/layer_archive"),
    include_bytes!("../fuzz/seeds/images/layer_gzip"),
    include_bytes!("../fuzz/seeds/images/layer_object"),
    include_bytes!("../fuzz/seeds/images/layer_zstd"),
    include_bytes!("../fuzz/seeds/images/manifest"),
    include_bytes!("../fuzz/seeds/images/reference"),
];

#[test]
fn the_seeds_are_one_good_thing_of_each_kind() {
    let kinds: BTreeSet<u8> = SEEDS.iter().map(|seed| seed[0]).collect();
    assert_eq!(kinds, (0..7).collect());
    for seed in SEEDS {
        assert!(
            every_image::read(seed),
            "{:?}",
            String::from_utf8_lossy(seed)
        );
    }
}
