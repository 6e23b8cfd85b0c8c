//! What the fuzz target does, with signatures of real form and what is left of them when bytes are changed.

#![allow(clippy::unwrap_used, reason = "a test may")]

use bpfman_tests::authority::{Authority, NOW, Subject, payload, statement};
use bpfman_tests::every_signature;

#[test]
fn signatures_with_changed_bytes_panic_nobody() {
    let mut authority = Authority::default();
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let subject = Subject::new("a@example.com", "https://issuer.example.com");
    let certificate = authority.certificates.issue(&subject);
    let bundle = authority.sign_statement(&certificate, &statement(digest), NOW);
    let payload = payload("quay.io/bpfman/counter", digest);
    let (payload, annotations) = authority.sign_payload(&certificate, payload, NOW);
    let seeds = [
        (0, bundle.to_string().into_bytes()),
        (1, payload),
        (2, serde_json::to_vec(&annotations).unwrap()),
        (0, authority.trusted_root().to_string().into_bytes()),
    ];
    for (kind, bytes) in seeds {
        let seed = [&[kind][..], &bytes].concat();
        every_signature::read(&seed);
        for step in 0..60 {
            let at = 1 + (step * 7919) % (seed.len() - 1);
            let mut changed = seed.clone();
            changed[at] ^= 1 << (step % 8);
            every_signature::read(&changed);
            every_signature::read(&changed[..at]);
        }
    }
}
