use super::*;
use crate::config::Config;
use crate::labels::Labels;
use crate::manifest::Document;

pub(super) fn recipe(architectures: &[&str], index: bool) -> Recipe {
    let input = |architecture: &&str| Input {
        platform: Platform {
            architecture: (*architecture).to_owned(),
            os: "linux".to_owned(),
            variant: None,
        },
        name: "counter.o".to_owned(),
        object: [b"\x7fELF", architecture.as_bytes(), &[7; 5000]].concat(),
    };
    let table = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()))
            .collect()
    };
    Recipe {
        inputs: architectures.iter().map(input).collect(),
        programs: table(&[("pass", "xdp"), ("count", "tc")]),
        maps: table(&[("hits", "per_cpu_array")]),
        created: (86_400, "1970-01-02T00:00:00Z".to_owned()),
        index,
    }
}

#[test]
fn the_same_input_gives_the_same_image() {
    for (architectures, index) in [(&["amd64"][..], false), (&["amd64", "arm64"], true)] {
        let recipe = recipe(architectures, index);
        assert_eq!(build(&recipe).unwrap(), build(&recipe).unwrap());
        let later = Recipe {
            created: (86_401, "1970-01-02T00:00:01Z".to_owned()),
            ..recipe.clone()
        };
        assert_ne!(build(&recipe).unwrap().top, build(&later).unwrap().top);
    }
}

#[test]
fn one_object_is_one_manifest_that_we_read() {
    let recipe = recipe(&["amd64"], false);
    let image = build(&recipe).unwrap();
    assert!(image.manifests.is_empty());
    let Document::Image(manifest) =
        Document::parse(&image.top.media_type, &image.top.bytes).unwrap()
    else {
        panic!("no image");
    };
    let find = |digest| {
        image
            .blobs
            .iter()
            .find(|blob| blob.digest == digest)
            .unwrap()
    };
    let layer = manifest.bytecode().unwrap();
    assert_eq!(
        crate::layer::object(&find(layer.digest).bytes).unwrap(),
        recipe.inputs[0].object
    );
    let config = Config::parse(&find(manifest.config.digest).bytes).unwrap();
    assert_eq!(config.platform, Some(recipe.inputs[0].platform.clone()));
    assert_eq!(
        config.labels[labels::PROGRAMS],
        r#"{"count":"tc","pass":"xdp"}"#
    );
    let labels = Labels::parse(&config.labels).unwrap();
    assert_eq!(
        (labels.programs, labels.maps),
        (recipe.programs, recipe.maps)
    );
}

#[test]
fn several_objects_are_an_index_by_platform() {
    let recipe = recipe(&["amd64", "arm64"], true);
    let image = build(&recipe).unwrap();
    assert_eq!(image.manifests.len(), 2);
    let Document::Index(index) = Document::parse(&image.top.media_type, &image.top.bytes).unwrap()
    else {
        panic!("no index");
    };
    for (input, manifest) in recipe.inputs.iter().zip(&image.manifests) {
        assert_eq!(
            index.choose(&input.platform).unwrap().digest,
            manifest.digest
        );
    }
    // One object with a platform is an index, too: its user said for what it is.
    let single = build(&self::recipe(&["amd64"], true)).unwrap();
    assert_eq!(single.top.media_type, media_type::INDEX);
    assert_eq!(single.manifests.len(), 1);
}

#[test]
fn long_names_fit() {
    let mut recipe = recipe(&["amd64"], false);
    recipe.inputs[0].name = "n".repeat(200);
    let image = build(&recipe).unwrap();
    assert_eq!(
        crate::layer::object(&image.blobs[0].bytes).unwrap(),
        recipe.inputs[0].object
    );
}

#[test]
fn signatures_are_layers_of_an_image() {
    let layer = Content::new(
        "application/vnd.dev.cosign.simplesigning.v1+json",
        b"{}".to_vec(),
    );
    let annotations = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let image = signatures(&[(layer.clone(), annotations.clone())]).unwrap();
    let Document::Image(manifest) =
        Document::parse(&image.top.media_type, &image.top.bytes).unwrap()
    else {
        panic!("no image");
    };
    assert_eq!(manifest.layers[0].digest, layer.digest);
    assert_eq!(manifest.layers[0].annotations, annotations);
    assert!(image.blobs.contains(&layer));
    assert_eq!(
        signature_tag(&Digest::of(b"")),
        "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.sig"
    );
}
