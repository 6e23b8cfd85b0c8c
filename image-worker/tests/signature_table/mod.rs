//! What is done to the signatures of an image, and what is said about it.

use crate::authority::{self, NOW, Subject};
use crate::hostile_registry::{Answer, Cut, Image, gzip};
use crate::signer::{
    Answers, ISSUER, REPOSITORY, SIGNER, Trusted, bytes, digest_of, good_subject, referred,
    referrers_path, signature_path, tagged,
};
use ipc::messages::failure::FailureCode;
use oci::build::signature_tag;
use oci::manifest::Platform;
use oci::media_type::{INDEX, MANIFEST};
use oci::{Digest, limits};
use serde_json::{Value, json};

pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) answers: Answers,
    pub(crate) code: FailureCode,
    pub(crate) word: &'static str,
}

pub(crate) const REFUSED: FailureCode = FailureCode::PermissionDenied;
pub(crate) const UNFIT: FailureCode = FailureCode::FailedPrecondition;
pub(crate) const LARGE: FailureCode = FailureCode::ResourceExhausted;

pub(crate) fn attack(
    name: &'static str,
    code: FailureCode,
    word: &'static str,
    answers: Answers,
) -> Attack {
    Attack {
        name,
        answers,
        code,
        word,
    }
}

/// Whoever signed, it is not who must have.
pub(crate) fn by_others(trusted: &mut Trusted, image: &Image) -> Vec<Attack> {
    let digest = digest_of(image);
    let other = Digest::of(b"other");
    let mut stranger = Trusted::new();
    let good = good_subject();
    let nobody = Subject::new("stranger@example.com", ISSUER);
    let elsewhere = Subject::new(SIGNER, "https://other.example.com");
    let expired = Subject {
        from: NOW - 900,
        until: NOW - 300,
        ..good.clone()
    };
    let wrong_place = authority::sign_with_key(
        &trusted.key,
        authority::payload("quay.io/evil/counter", &digest.to_string()),
    );
    let mut unlogged = trusted.bundle(&good, &digest);
    unlogged["verificationMaterial"]["tlogEntries"] = json!([]);
    let certificate = trusted.certificate(&good);
    let mut about_tests = authority::statement(&digest.to_string());
    about_tests["predicateType"] = json!("https://slsa.dev/provenance/v1");
    let attestation = trusted
        .authority
        .sign_statement(&certificate, &about_tests, NOW);
    // Issued by somebody else, and logged where everybody may log.
    let forged = stranger.certificate(&good);
    let payload = authority::payload(REPOSITORY, &digest.to_string());
    let forged = trusted.authority.sign_payload(&forged, payload, NOW);
    let mut layers = |subject: &Subject, digest: &Digest| vec![trusted.layer(subject, digest)];
    let tags = [
        (
            "wrong key",
            vec![stranger.by_key(&digest)],
            "none of the trusted keys",
        ),
        (
            "identity that is not trusted",
            layers(&nobody, &digest),
            "stranger@example.com",
        ),
        (
            "identity of another issuer",
            layers(&elsewhere, &digest),
            "https://other.example.com",
        ),
        (
            "expired certificate",
            layers(&expired, &digest),
            "certificate",
        ),
        (
            "certificate of another authority",
            vec![forged],
            "certificate",
        ),
        (
            "certificate, signature of another digest",
            layers(&good, &other),
            "it was made for sha256",
        ),
        (
            "key, signature of another repository",
            vec![wrong_place],
            "quay.io/evil/counter",
        ),
        ("no layers", vec![], "is not signed"),
    ];
    let mut attacks: Vec<Attack> = tags
        .into_iter()
        .map(|(name, layers, word)| attack(name, REFUSED, word, tagged(image, layers)))
        .collect();
    let by_key = tagged(image, vec![trusted.by_key(&other)]);
    attacks.push(attack(
        "key, signature of another digest",
        REFUSED,
        "it was made for sha256",
        by_key,
    ));
    for (name, bundle, word) in [
        (
            "bundle of an identity that is not trusted",
            trusted.bundle(&nobody, &digest),
            "stranger@example.com",
        ),
        (
            "bundle with an expired certificate",
            trusted.bundle(&expired, &digest),
            "certificate",
        ),
        (
            "bundle of another authority",
            stranger.bundle(&good, &digest),
            "signature 1:",
        ),
        (
            "bundle about another digest",
            trusted.bundle(&good, &other),
            "it was made for sha256",
        ),
        ("bundle without a log entry", unlogged, "signature 1:"),
        ("attestation", attestation, "it is an attestation"),
        ("bundle that is empty", json!({}), "malformed bundle"),
    ] {
        attacks.push(attack(
            name,
            REFUSED,
            word,
            referred(image, &[bytes(&bundle)]),
        ));
    }
    attacks.push(attack(
        "no signature",
        REFUSED,
        "is not signed",
        image.answers(),
    ));
    attacks
}

/// The registry does not give the signature as it is.
pub(crate) fn by_the_registry(trusted: &mut Trusted, image: &Image) -> Vec<Attack> {
    let digest = digest_of(image);
    let good = trusted.by_key(&digest);
    let payload = format!("blobs/{}", Digest::of(&good.0));
    let signed = tagged(image, vec![good]);
    let tag = signature_path(image);
    let list = referrers_path(image);
    let bundle = bytes(&trusted.bundle(&good_subject(), &digest));
    let refers = referred(image, &[bundle]);
    let change = |path: &str, change: &dyn Fn(&mut Answer)| {
        let mut answers = signed.clone();
        change(answers.get_mut(path).expect("an answer"));
        answers
    };
    let listed = |change: &dyn Fn(&mut Answer)| {
        let mut answers = refers.clone();
        change(answers.get_mut(&list).expect("an answer"));
        answers
    };
    let with_size = |size: u64| {
        change(&tag, &|answer| {
            let mut manifest: Value = serde_json::from_slice(&answer.body).expect("JSON");
            manifest["layers"][0]["size"] = json!(size);
            answer.body = bytes(&manifest);
        })
    };
    let many = vec![trusted.by_key(&Digest::of(b"other")); 17];
    let mut too_many = tagged(image, many.clone());
    let others = (0..17).map(|number| format!("{{}}{}", " ".repeat(number)).into_bytes());
    let others = referred(image, &others.collect::<Vec<_>>());
    too_many.extend(others.into_iter().filter(|(path, _)| *path != tag));
    let entry = json!({ "mediaType": MANIFEST, "digest": digest, "size": 1 });
    let long = json!({ "schemaVersion": 2, "manifests": vec![entry; limits::REFERRERS + 1] });
    vec![
        attack(
            "signature changed",
            UNFIT,
            "has the digest",
            change(&payload, &|answer| answer.body[5] ^= 1),
        ),
        attack(
            "signature missing",
            FailureCode::NotFound,
            "is not in the registry",
            change(&payload, &|answer| answer.status = 404),
        ),
        attack(
            "signature cut off",
            FailureCode::Unavailable,
            "broke off",
            change(&payload, &|answer| answer.cut = Some(Cut::Closed(120))),
        ),
        attack(
            "signature without end",
            LARGE,
            "larger than",
            change(&payload, &|answer| {
                (answer.length, answer.cut) = (Some(None), Some(Cut::Endless))
            }),
        ),
        attack(
            "signature too large by its descriptor",
            LARGE,
            "the signature is larger",
            with_size(signing::limits::MATERIAL_BYTES as u64 + 1),
        ),
        attack(
            "signature smaller than its descriptor",
            UNFIT,
            "are announced",
            with_size(1000),
        ),
        attack(
            "signatures that are an index",
            REFUSED,
            "is not signed",
            change(&tag, &|answer| {
                *answer = Answer::new(
                    200,
                    INDEX,
                    br#"{"schemaVersion":2,"manifests":[]}"#.to_vec(),
                );
            }),
        ),
        attack(
            "signatures that are no manifest",
            UNFIT,
            "malformed",
            change(&tag, &|answer| answer.body = b"[]".to_vec()),
        ),
        attack(
            "signatures that cannot be had",
            FailureCode::Unavailable,
            "answers 500",
            change(&tag, &|answer| answer.status = 500),
        ),
        attack(
            "referrers that cannot be had",
            FailureCode::Unavailable,
            "answers 500",
            listed(&|answer| answer.status = 500),
        ),
        attack(
            "referrers without end",
            LARGE,
            "the list of referrers is larger",
            listed(&|answer| (answer.length, answer.cut) = (Some(None), Some(Cut::Endless))),
        ),
        attack(
            "referrers that are no list",
            UNFIT,
            "malformed",
            listed(&|answer| answer.body = b"{}".to_vec()),
        ),
        attack(
            "too many referrers",
            LARGE,
            "256 entries",
            listed(&|answer| answer.body = bytes(&long)),
        ),
        attack(
            "more signatures than are looked at",
            REFUSED,
            "more than 32 signatures",
            too_many,
        ),
    ]
}

/// The signature is good, and what comes is something else.
pub(crate) fn by_replacement(trusted: &Trusted, image: &Image) -> Vec<Attack> {
    let mut other = Image::of(gzip(&[bpf::COUNTER, b"changed"].concat()));
    other.seal();
    let signed = |answers: &mut Answers, digest: &Digest| {
        let signatures = tagged(image, vec![trusted.by_key(digest)]);
        let path = format!("manifests/{}", signature_tag(digest));
        answers.insert(path, signatures[&signature_path(image)].clone());
        answers.extend(
            signatures
                .into_iter()
                .filter(|(path, _)| path.starts_with("blobs/")),
        );
    };
    // An index that was signed, in which the manifest for this machine is another one by the time it is fetched.
    let manifest = image.manifest_bytes();
    let host = Platform::host().architecture;
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [
        { "mediaType": MANIFEST, "digest": digest_of(image), "size": manifest.len(),
          "platform": { "architecture": host, "os": "linux" } } ] });
    let index = bytes(&index);
    let mut replaced = image.answers();
    signed(&mut replaced, &Digest::of(&index));
    replaced.insert("manifests/v1".to_owned(), Answer::new(200, INDEX, index));
    replaced.insert(
        format!("manifests/{}", digest_of(image)),
        Answer::new(200, MANIFEST, other.manifest_bytes()),
    );
    // The layer of another image under the digest of the signed one.
    let mut layer = tagged(image, vec![trusted.by_key(&digest_of(image))]);
    layer.get_mut(&image.layer_path()).expect("a layer").body = other.layer.clone();
    // Another image, and the signature of the signed one under its name.
    let mut moved = other.answers();
    let signatures = tagged(image, vec![trusted.by_key(&digest_of(image))]);
    moved.insert(
        signature_path(&other),
        signatures[&signature_path(image)].clone(),
    );
    moved.extend(
        signatures
            .into_iter()
            .filter(|(path, _)| path.starts_with("blobs/")),
    );
    vec![
        attack(
            "manifest of a signed index replaced",
            UNFIT,
            "has the digest",
            replaced,
        ),
        attack(
            "layer of a signed image replaced",
            UNFIT,
            "has the digest",
            layer,
        ),
        attack(
            "signature of another image put under this one's tag",
            REFUSED,
            "it was made for sha256",
            moved,
        ),
    ]
}
