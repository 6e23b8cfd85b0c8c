//! Manifests as registries send them, and as nobody should.

use super::*;
use crate::media_type::{
    CONFIG, DOCKER_INDEX, DOCKER_MANIFEST, EMPTY, INDEX, LAYER_GZIP, MANIFEST,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn descriptor(media_type: &str, size: u64) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(b"x").to_string(), "size": size })
}

fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, 2),
        "layers": [descriptor(LAYER_GZIP, 3)],
    })
}

fn index(platforms: &[&str]) -> Value {
    let manifests: Vec<Value> = platforms
        .iter()
        .map(|architecture| {
            let mut manifest = descriptor(MANIFEST, 3);
            manifest["platform"] = json!({ "architecture": architecture, "os": "linux" });
            manifest
        })
        .collect();
    json!({ "schemaVersion": 2, "manifests": manifests })
}

fn read(media_type: &str, value: &Value) -> Result<Document, Error> {
    Document::parse(media_type, value.to_string().as_bytes())
}

fn read_image(value: &Value) -> Manifest {
    match read(MANIFEST, value) {
        Ok(Document::Image(manifest)) => *manifest,
        other => panic!("{other:?}"),
    }
}

fn read_index(value: &Value) -> Index {
    match read(INDEX, value) {
        Ok(Document::Index(index)) => index,
        other => panic!("{other:?}"),
    }
}

fn machine(architecture: &str) -> Platform {
    Platform {
        architecture: architecture.to_owned(),
        os: "linux".to_owned(),
        variant: None,
    }
}

#[test]
fn images_and_indexes_of_both_worlds_are_read() {
    let manifest = read_image(&image());
    assert_eq!(manifest.bytecode().unwrap().size, 3);
    assert!(manifest.labelled_config().unwrap().is_some());
    assert!(!manifest.is_artifact());
    let mut docker = image();
    docker["mediaType"] = json!(DOCKER_MANIFEST);
    assert!(read(DOCKER_MANIFEST, &docker).is_ok());
    let index = index(&["arm64", "amd64"]);
    assert_eq!(
        read_index(&index).choose(&machine("amd64")).unwrap().size,
        3
    );
    assert!(read(DOCKER_INDEX, &index).is_ok());
    let again = serde_json::to_value(read_image(&image())).unwrap();
    assert_eq!(again, image());
}

#[test]
fn an_artifact_carries_the_object_as_it_is() {
    let artifact = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.example.bytecode",
        "config": descriptor(EMPTY, 2),
        "layers": [descriptor("application/octet-stream", 3)],
        "annotations": { "io.ebpf.programs": "{}" },
    });
    let manifest = read_image(&artifact);
    assert!(manifest.is_artifact() && manifest.bytecode().is_ok());
    assert_eq!(manifest.labelled_config().unwrap(), None);
    assert_eq!(manifest.annotations.len(), 1);
}

#[test]
fn the_machine_must_be_in_the_index() {
    let index = read_index(&index(&["arm64", "s390x"]));
    let error = index.choose(&machine("amd64")).unwrap_err().to_string();
    assert_eq!(
        error,
        "no linux/amd64 manifest found in image index (it has: linux/arm64, linux/s390x)"
    );
    let mut other = index.clone();
    other.manifests[0].platform = Some(Platform {
        os: "windows".to_owned(),
        ..machine("amd64")
    });
    assert!(other.choose(&machine("amd64")).is_err());
    other.manifests[0].platform = None;
    assert!(other.choose(&machine("arm64")).is_err());
    // Attestations stand beside images, for a machine called "unknown".
    assert!(
        read_index(&self::index(&["unknown", "amd64"]))
            .choose(&machine("amd64"))
            .is_ok()
    );
}

#[test]
fn an_index_in_an_index_is_refused() {
    let mut nested = index(&["amd64"]);
    nested["manifests"][0]["mediaType"] = json!(INDEX);
    assert!(matches!(
        read_index(&nested).choose(&machine("amd64")),
        Err(Error::MediaType { .. })
    ));
}

#[test]
fn foreign_types_are_refused() {
    assert!(matches!(
        read("text/html", &image()),
        Err(Error::MediaType { .. })
    ));
    assert!(matches!(
        read(
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            &image()
        ),
        Err(Error::MediaType { .. })
    ));
    let mut foreign = image();
    foreign["layers"][0]["mediaType"] =
        json!("application/vnd.cncf.helm.chart.content.v1.tar+gzip");
    assert!(matches!(
        read_image(&foreign).bytecode(),
        Err(Error::MediaType { .. })
    ));
    foreign["layers"] = json!([]);
    assert!(read_image(&foreign).bytecode().is_err());
}

#[test]
fn a_document_is_one_thing_only() {
    let mut both = image();
    both["manifests"] = json!([]);
    assert!(read(MANIFEST, &both).is_err());
    assert!(read(INDEX, &both).is_err());
    assert!(read(INDEX, &image()).is_err());
    let mut untyped = image();
    untyped.as_object_mut().unwrap().remove("mediaType");
    assert!(read(MANIFEST, &untyped).is_ok());
    assert!(read(INDEX, &untyped).is_err());
    assert!(read(MANIFEST, &index(&["amd64"])).is_err());
    let mut old = image();
    old["schemaVersion"] = json!(1);
    assert!(read(MANIFEST, &old).is_err());
}

#[test]
fn malformed_documents_are_refused() {
    for (pointer, value) in [
        ("/config/digest", json!("sha256:12")),
        ("/config/size", json!(-1)),
        ("/config/size", json!("3")),
        ("/layers", json!({})),
        ("/layers/0/digest", json!(null)),
        ("/schemaVersion", json!("2")),
        ("/layers/0/mediaType", json!(1)),
    ] {
        let mut broken = image();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(read(MANIFEST, &broken).is_err(), "{pointer}");
    }
    for bytes in [
        &b""[..],
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"{\"schemaVersion\":2}",
    ] {
        assert!(Document::parse(MANIFEST, bytes).is_err());
    }
}

#[test]
fn every_bound_is_kept() {
    let padded = |bytes: u64| {
        let mut text = image().to_string();
        text.push_str(&" ".repeat(bytes as usize - text.len()));
        text
    };
    assert!(Document::parse(MANIFEST, padded(limits::MANIFEST_BYTES).as_bytes()).is_ok());
    assert!(Document::parse(MANIFEST, padded(limits::MANIFEST_BYTES + 1).as_bytes()).is_err());
    for (count, fits) in [(limits::LAYERS, true), (limits::LAYERS + 1, false)] {
        let mut layered = image();
        layered["layers"] = json!(vec![descriptor(LAYER_GZIP, 1); count]);
        assert_eq!(read(MANIFEST, &layered).is_ok(), fits);
    }
    for (count, fits) in [
        (limits::INDEX_MANIFESTS, true),
        (limits::INDEX_MANIFESTS + 1, false),
    ] {
        assert_eq!(read(INDEX, &index(&vec!["arm"; count])).is_ok(), fits);
    }
    for (count, fits) in [(limits::LABELS, true), (limits::LABELS + 1, false)] {
        let mut annotated = image();
        annotated["annotations"] = (0..count)
            .map(|number| (number.to_string(), json!("")))
            .collect();
        assert_eq!(read(MANIFEST, &annotated).is_ok(), fits);
    }
    for (size, fits) in [
        (limits::LAYER_BYTES, true),
        (limits::LAYER_BYTES + 1, false),
    ] {
        let mut large = image();
        large["layers"][0]["size"] = json!(size);
        assert_eq!(read_image(&large).bytecode().is_ok(), fits);
    }
    for (size, fits) in [
        (limits::CONFIG_BYTES, true),
        (limits::CONFIG_BYTES + 1, false),
    ] {
        let mut large = image();
        large["config"]["size"] = json!(size);
        assert_eq!(read_image(&large).labelled_config().is_ok(), fits);
    }
    for (size, fits) in [
        (limits::MANIFEST_BYTES, true),
        (limits::MANIFEST_BYTES + 1, false),
    ] {
        let mut large = index(&["amd64"]);
        large["manifests"][0]["size"] = json!(size);
        assert_eq!(read_index(&large).choose(&machine("amd64")).is_ok(), fits);
    }
}

proptest! {
    #[test]
    fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::parse(MANIFEST, &bytes);
        let _ = Document::parse(INDEX, &bytes);
    }
}
