//! Fetched once, kept, and used without the registry.

use super::{Place, UNSIGNED};
use bpfman_tests::registry::available;
use bpfman_tests::require;
use std::fs;

#[test]
fn what_the_peer_copied_is_loaded_and_recorded() {
    require!(available());
    let place = Place::new(UNSIGNED);
    let registry = place.registry("", "");
    let image = registry.image("acme/counter:v1");
    let layout = place.layout();
    place.copy(&layout, &image, &[]);

    let loaded = place.load(&image, &[]).json();
    let spec = &loaded["programs"][0]["record"]["load"];
    assert_eq!(spec["image_source"]["url"], image.as_str());
    assert_eq!(spec["image_source"]["pull_policy"], "IfNotPresent");
    assert_eq!(spec["source_path"], serde_json::Value::Null);
    let inspected = place.run(
        "skopeo".as_ref(),
        &[
            "inspect",
            "--tls-verify=false",
            "--format",
            "{{.Digest}}",
            &format!("docker://{image}"),
        ],
    );
    assert_eq!(spec["image_source"]["digest"], inspected.trim());
    let id = loaded["programs"][0]["record"]["program_id"].to_string();
    let text = place.instance.ctl(&["program", "get", &id]).ok();
    assert!(
        text.contains(&image) && text.contains("Image Accepted"),
        "{text}"
    );

    // Docker's format of the same image.
    let docker = registry.image("acme/counter:docker");
    place.copy(&layout, &docker, &["--format", "v2s2"]);
    place.load(&docker, &[]).json();
    let listed = place.instance.ctl(&["image", "list", "-o", "json"]).json();
    assert_eq!(
        listed["images"].as_array().map(Vec::len),
        Some(2),
        "{listed}"
    );
    assert_eq!(listed["images"][0]["accepted"], "unsigned");
}

#[test]
fn a_cached_image_needs_no_registry_and_damage_is_fetched_again() {
    require!(available());
    let mut place = Place::new(UNSIGNED);
    let registry = place.registry("", "");
    let image = registry.image("acme/counter:v1");
    place.copy(&place.layout(), &image, &[]);
    let missing = place.load(&image, &["--pull-policy", "Never"]).refused();
    assert!(
        missing.contains(&format!(
            "image {image} not in cache and pull policy is Never"
        )),
        "{missing}"
    );
    let pulled = place.instance.ctl(&["image", "pull", &image]).ok();
    assert!(
        pulled.starts_with(&format!("pulled: {image}@sha256:")),
        "{pulled}"
    );

    // Damaged: fetched again.
    let content = place.instance.cache_dir().join("content");
    for file in fs::read_dir(&content).expect("a folder") {
        fs::write(file.expect("an entry").path(), b"damaged").expect("written");
    }
    place.load(&image, &[]).json();

    drop(registry);
    place.load(&image, &[]).json();
    place.load(&image, &["--pull-policy", "Never"]).json();
    let down = place.load(&image, &["--pull-policy", "Always"]).refused();
    assert!(down.contains("cannot be reached"), "{down}");

    // After a restart, too.
    let (folder, netns) = place.instance.place();
    place.instance.stop();
    let config = place
        .objects
        .file("bpfman.toml", UNSIGNED.as_bytes())
        .display()
        .to_string();
    place.instance =
        bpfman_tests::instance::Instance::start_in(folder, netns, &["--config", &config]);
    place.load(&image, &["--pull-policy", "Never"]).json();

    // Damaged with the registry down there is nothing to load.
    for file in fs::read_dir(&content).expect("a folder") {
        fs::write(file.expect("an entry").path(), b"damaged").expect("written");
    }
    place.load(&image, &["--pull-policy", "Never"]).refused();
    place.load(&image, &[]).refused();

    // Pruned, nothing is left.
    place.instance.ctl(&["image", "prune", "--all"]).ok();
    for folder in ["content", "images", "evidence", "new"] {
        let left = fs::read_dir(place.instance.cache_dir().join(folder))
            .expect("a folder")
            .count();
        assert_eq!(left, 0, "{folder}");
    }
    place.instance.assert_no_drift();
}

#[test]
fn unsigned_images_are_refused_by_default() {
    require!(available());
    let place = Place::new("");
    let registry = place.registry("", "");
    let image = registry.image("acme/counter:v1");
    place.copy(&place.layout(), &image, &[]);
    let refused = place.load(&image, &[]).refused();
    assert!(
        refused.contains("policy: ") && refused.contains("signed"),
        "{refused}"
    );
    let listed = place.instance.ctl(&["image", "list", "-o", "json"]).json();
    assert_eq!(
        listed["images"].as_array().map(Vec::len),
        Some(0),
        "nothing was kept"
    );
    let programs = place.instance.ctl(&["program", "list", "-q"]).ok();
    assert_eq!(programs, "");
}
