//! The real registry with TLS and users.

use super::Place;
use bpfman_tests::registry::available;
use bpfman_tests::require;

#[test]
fn a_registry_with_tls_and_users_is_used_with_its_authority() {
    require!(available());
    let made =
        rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let files = bpfman_tests::fixture::Objects::new();
    let certificate = files.file("ca.pem", made.cert.pem().as_bytes());
    let key = files.file("key.pem", made.signing_key.serialize_pem().as_bytes());
    let configuration = format!(
        "[signing]\nallow_unsigned = true\n[registries]\nca_file = \"{}\"\n",
        certificate.display()
    );
    let place = Place::new(&configuration);
    let users = files.file("htpasswd", super::canary::HASHED.as_bytes());
    let registry = place.registry(
        &format!(
            "  tls:\n    certificate: {}\n    key: {}\n",
            certificate.display(),
            key.display()
        ),
        &format!(
            "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            users.display()
        ),
    );
    let image = registry.image("acme/counter:v1");
    place.copy(
        &place.layout(),
        &image,
        &["--dest-creds", "somebody:canary-8f1bd1c6-secret"],
    );
    let loaded = place
        .load(&image, &["--registry-auth", super::canary::PAIR])
        .json();
    assert_eq!(
        loaded["programs"][0]["record"]["load"]["image_source"]["url"],
        image.as_str()
    );

    // Without the authority it is not believed, whatever is in the cache.
    let refused = {
        let (folder, netns) = place.instance.place();
        drop(place);
        let file = files
            .file("bpfman.toml", b"[signing]\nallow_unsigned = true\n")
            .display()
            .to_string();
        let instance =
            bpfman_tests::instance::Instance::start_in(folder, netns, &["--config", &file]);
        instance
            .ctl(&[
                "image",
                "pull",
                &image,
                "--pull-policy",
                "Always",
                "--registry-auth",
                super::canary::PAIR,
            ])
            .refused()
    };
    assert!(refused.contains("certificate"), "{refused}");
}
