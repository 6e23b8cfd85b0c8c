//! What is done to an image in order, what is said about it.

use crate::hostile_registry::{Answer, Cut, Image, archive, gzip};
use ipc::messages::failure::FailureCode;
use oci::media_type::{INDEX, MANIFEST};
use oci::{Digest, limits};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::json;
use std::collections::BTreeMap;
use tar::EntryType;

pub(crate) type Answers = BTreeMap<String, Answer>;

/// What is done to an image in order, and what is said about it.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) answers: Answers,
    pub(crate) code: FailureCode,
    pub(crate) word: &'static str,
}

const UNFIT: FailureCode = FailureCode::FailedPrecondition;
const LARGE: FailureCode = FailureCode::ResourceExhausted;
pub(crate) const BROKEN: FailureCode = FailureCode::Unavailable;

fn attack(name: &'static str, code: FailureCode, word: &'static str, answers: Answers) -> Attack {
    Attack {
        name,
        answers,
        code,
        word,
    }
}

/// An image with a change of its answers.
fn served(image: Image, change: impl FnOnce(&Image, &mut Answers)) -> Answers {
    let mut answers = image.answers();
    change(&image, &mut answers);
    answers
}

fn manifest(change: impl FnOnce(&mut serde_json::Value)) -> Answers {
    let mut image = Image::good();
    change(&mut image.manifest);
    image.answers()
}

fn layer(layer: Vec<u8>) -> Answers {
    Image::of(layer).answers()
}

pub(crate) fn layer_answer(change: impl FnOnce(&mut Answer)) -> Answers {
    served(Image::good(), |image, answers| {
        change(answers.get_mut(&image.layer_path()).expect("a layer"));
    })
}

fn tag_answer(change: impl FnOnce(&mut Answer)) -> Answers {
    served(Image::good(), |_, answers| {
        change(answers.get_mut("manifests/v1").expect("a tag"))
    })
}

fn tag(answer: Answer) -> Answers {
    served(Image::good(), |_, answers| {
        answers.insert("manifests/v1".to_owned(), answer);
    })
}

fn index(manifests: serde_json::Value) -> Answers {
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    tag(Answer::new(200, INDEX, index.to_string().into_bytes()))
}

fn entry(path: &str, kind: EntryType) -> Vec<u8> {
    let data: &[u8] = if kind.is_file() { bpf::COUNTER } else { b"" };
    gzip(&archive(&[
        ("real.o", EntryType::Regular, bpf::COUNTER),
        (path, kind, data),
    ]))
}

fn zeros() -> Vec<u8> {
    vec![0; limits::UNPACKED_BYTES as usize + 1]
}

fn elf(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut object = bpf::COUNTER.to_vec();
    change(&mut object);
    gzip(&object)
}

pub(crate) fn content() -> Vec<Attack> {
    let other = Digest::of(b"other").to_string();
    let amd64 = |media_type: &str, digest: &str, size: u64| {
        let host = oci::manifest::Platform::host().architecture;
        json!([{ "mediaType": media_type, "digest": digest, "size": size, "platform": { "architecture": host, "os": "linux" } }])
    };
    let good = Image::good();
    let good_digest = Digest::of(&good.manifest_bytes()).to_string();
    let many: Vec<(&str, EntryType, &[u8])> =
        vec![("d", EntryType::Directory, b""); limits::ENTRIES + 1];
    let mut foreign = Image::good();
    foreign.config["architecture"] = json!("pdp11");
    foreign.seal();
    let mut helm = Image::good();
    helm.layer_type = "application/vnd.cncf.helm.chart.content.v1.tar+gzip".to_owned();
    helm.seal();
    vec![
        attack(
            "announced digest of another manifest",
            UNFIT,
            "and not",
            tag_answer(|answer| *answer = answer.clone().header("docker-content-digest", &other)),
        ),
        attack(
            "layer changed",
            UNFIT,
            "has the digest",
            layer_answer(|answer| answer.body[20] ^= 1),
        ),
        attack(
            "layer of another image",
            UNFIT,
            "has the digest",
            layer_answer(|answer| answer.body = b"short".to_vec()),
        ),
        attack(
            "layer longer than announced in the manifest",
            LARGE,
            "larger than",
            layer_answer(|answer| answer.body.push(0)),
        ),
        attack(
            "layer without end",
            LARGE,
            "larger than",
            layer_answer(|answer| (answer.length, answer.cut) = (Some(None), Some(Cut::Endless))),
        ),
        attack(
            "layer that is cut off",
            BROKEN,
            "broke off",
            layer_answer(|answer| answer.cut = Some(Cut::Closed(300))),
        ),
        attack(
            "layer that is missing",
            FailureCode::NotFound,
            "is not in the registry",
            layer_answer(|answer| answer.status = 404),
        ),
        attack(
            "layer too large by its descriptor",
            LARGE,
            "the layer is larger",
            manifest(|manifest| manifest["layers"][0]["size"] = json!(limits::LAYER_BYTES + 1)),
        ),
        attack(
            "layer smaller than its descriptor",
            UNFIT,
            "are announced",
            manifest(|manifest| manifest["layers"][0]["size"] = json!(good.layer.len() + 1)),
        ),
        attack(
            "configuration changed",
            UNFIT,
            "has the digest",
            served(Image::good(), |image, answers| {
                answers.get_mut(&image.config_path()).expect("one").body[2] ^= 1
            }),
        ),
        attack(
            "configuration too large by its descriptor",
            LARGE,
            "configuration is larger",
            manifest(|manifest| manifest["config"]["size"] = json!(limits::CONFIG_BYTES + 1)),
        ),
        attack(
            "manifest too large",
            LARGE,
            "the manifest is larger",
            tag_answer(|answer| {
                answer
                    .body
                    .resize(limits::MANIFEST_BYTES as usize + 1, b' ')
            }),
        ),
        attack(
            "manifest without end",
            LARGE,
            "the manifest is larger",
            tag_answer(|answer| (answer.length, answer.cut) = (Some(None), Some(Cut::Endless))),
        ),
        attack(
            "manifest that lies about its length",
            LARGE,
            "the manifest is larger",
            tag_answer(|answer| answer.length = Some(Some(1 << 40))),
        ),
        attack(
            "gzip bomb",
            LARGE,
            "unpacked layer is larger",
            layer(gzip(&zeros())),
        ),
        attack(
            "zstd bomb",
            LARGE,
            "unpacked layer is larger",
            layer(compress_to_vec(&zeros()[..], CompressionLevel::Fastest)),
        ),
        attack(
            "bomb in a bomb",
            UNFIT,
            "neither an archive",
            layer(gzip(&gzip(&zeros()))),
        ),
        attack(
            "symbolic link",
            UNFIT,
            "symbolic link",
            layer(entry("link.o", EntryType::Symlink)),
        ),
        attack(
            "hard link",
            UNFIT,
            "hard link",
            layer(entry("link.o", EntryType::Link)),
        ),
        attack(
            "device",
            UNFIT,
            "device",
            layer(entry("null.o", EntryType::Char)),
        ),
        attack(
            "way out of the archive",
            UNFIT,
            "leads out",
            layer(entry("../../etc/x.o", EntryType::Regular)),
        ),
        attack(
            "absolute path",
            UNFIT,
            "absolute",
            layer(entry("/etc/x.o", EntryType::Regular)),
        ),
        attack(
            "too many entries",
            LARGE,
            "1024 entries",
            layer(gzip(&archive(&many))),
        ),
        attack(
            "archive without object",
            UNFIT,
            "no object file",
            layer(gzip(&archive(&[("README", EntryType::Regular, b"text")]))),
        ),
        attack(
            "layer that is nothing",
            UNFIT,
            "neither an archive",
            layer(gzip(b"text")),
        ),
        attack(
            "gzip with a wrong checksum",
            UNFIT,
            "damaged",
            layer({
                let mut layer = gzip(bpf::COUNTER);
                let at = layer.len() - 6;
                layer[at] ^= 1;
                layer
            }),
        ),
        attack(
            "object too large",
            LARGE,
            "object file is larger",
            layer(elf(|object| {
                object.resize(limits::OBJECT_BYTES as usize + 1, 0)
            })),
        ),
        attack(
            "object of another machine",
            UNFIT,
            "machine type 62",
            layer(elf(|object| object[18] = 62)),
        ),
        attack(
            "object in the other byte order",
            UNFIT,
            "other byte order",
            layer(elf(|object| object[5] = 3 - object[5])),
        ),
        attack(
            "image for another machine",
            UNFIT,
            "linux/pdp11",
            foreign.answers(),
        ),
        attack(
            "index without this machine",
            UNFIT,
            "manifest found in image index",
            index(json!([])),
        ),
        attack(
            "index in an index",
            UNFIT,
            "foreign media type",
            index(amd64(INDEX, &good_digest, 3)),
        ),
        attack(
            "index with a wrong size",
            UNFIT,
            "are announced",
            index(amd64(MANIFEST, &good_digest, 3)),
        ),
        attack(
            "index that leads nowhere",
            FailureCode::NotFound,
            "is not in the registry",
            index(amd64(MANIFEST, &other, 3)),
        ),
        attack(
            "foreign manifest",
            UNFIT,
            "foreign media type `text/html`",
            tag_answer(|answer| answer.headers[0].1 = "text/html".to_owned()),
        ),
        attack("foreign layer", UNFIT, "helm", helm.answers()),
        attack(
            "image and index at once",
            UNFIT,
            "at once",
            manifest(|manifest| manifest["manifests"] = json!([])),
        ),
        attack(
            "old schema",
            UNFIT,
            "schema version 1",
            manifest(|manifest| manifest["schemaVersion"] = json!(1)),
        ),
        attack(
            "manifest that is no JSON",
            UNFIT,
            "malformed",
            tag_answer(|answer| answer.body = b"{".to_vec()),
        ),
        attack(
            "no layer",
            UNFIT,
            "no layer",
            manifest(|manifest| manifest["layers"] = json!([])),
        ),
        attack(
            "too many layers",
            LARGE,
            "32 entries",
            manifest(|manifest| {
                manifest["layers"] = json!(vec![manifest["layers"][0].clone(); limits::LAYERS + 1])
            }),
        ),
        attack(
            "malformed label",
            UNFIT,
            "io.ebpf.programs is malformed",
            Image::labelled("[]").answers(),
        ),
        attack(
            "label with a name that is not printable",
            UNFIT,
            "not printable",
            Image::labelled("{\"a\\u001b[2J\":\"xdp\"}").answers(),
        ),
        attack(
            "label too long",
            LARGE,
            "io.ebpf.programs is larger",
            Image::labelled(&format!("{{{}}}", " ".repeat(limits::LABEL_BYTES))).answers(),
        ),
    ]
}

pub(crate) fn protocol() -> Vec<Attack> {
    vec![
        attack(
            "redirects without end",
            UNFIT,
            "redirects more than 5 times",
            tag(Answer::redirect("v1")),
        ),
        attack(
            "redirect to nowhere",
            UNFIT,
            "does not say where",
            tag(Answer::new(307, "text/plain", vec![])),
        ),
        attack(
            "redirect to a file",
            UNFIT,
            "it is not HTTP",
            tag(Answer::redirect("file:///etc/passwd")),
        ),
        attack(
            "redirect to another host",
            UNFIT,
            "it leads to another host",
            tag(Answer::redirect(
                "https://registry.invalid/v2/a/b/manifests/v1",
            )),
        ),
        attack(
            "redirect to plain HTTP elsewhere",
            UNFIT,
            "it would be plain HTTP",
            tag(Answer::redirect("http://registry.invalid/v2/")),
        ),
        attack(
            "token service in plain HTTP elsewhere",
            UNFIT,
            "plain text",
            tag(Answer::new(401, "text/plain", vec![]).header(
                "www-authenticate",
                "Bearer realm=\"http://tokens.invalid/\"",
            )),
        ),
        attack(
            "token service that is none",
            UNFIT,
            "is no URL",
            tag(Answer::new(401, "text/plain", vec![])
                .header("www-authenticate", "Bearer realm=\"x\"")),
        ),
        attack(
            "malformed challenge",
            UNFIT,
            "malformed",
            tag(Answer::new(401, "text/plain", vec![])
                .header("www-authenticate", "Bearer realm=\"x")),
        ),
        attack(
            "unknown challenge",
            FailureCode::PermissionDenied,
            "refuses access (401)",
            tag(Answer::new(401, "text/plain", vec![]).header("www-authenticate", "Negotiate")),
        ),
        attack(
            "headers without end",
            BROKEN,
            "broke off",
            tag_answer(|answer| answer.headers = vec![("x".to_owned(), "y".repeat(1000)); 2000]),
        ),
        attack(
            "error with a long explanation",
            BROKEN,
            "answers 500",
            tag(Answer::new(
                500,
                "application/json",
                json!({ "errors": [{ "code": "X", "message": "m".repeat(60_000) }] })
                    .to_string()
                    .into_bytes(),
            )),
        ),
        attack(
            "too many requests",
            BROKEN,
            "answers 429",
            tag(Answer::new(429, "text/plain", vec![])),
        ),
    ]
}
