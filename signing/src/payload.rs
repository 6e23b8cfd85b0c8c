//! The payload of a signature: which image it was made for
//! (<https://github.com/containers/image/blob/main/docs/containers-signature.5.md#json-data-format>).

use crate::error::Flaw;
use serde::{Deserialize, Serialize};

const TYPE: &str = "cosign container image signature";

#[derive(Debug, Deserialize, Serialize)]
struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: serde_json::Value,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Identity,
    image: Digest,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Digest {
    docker_manifest_digest: String,
}

/// What was signed.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Signed {
    /// Repository, without tag and digest.
    pub(crate) repository: String,
    /// `sha256:…`
    pub(crate) digest: String,
}

/// Reads a payload. What is critical in it and unknown here makes it invalid, as the format demands.
pub(crate) fn read(bytes: &[u8]) -> Result<Signed, Flaw> {
    let payload: Payload =
        serde_json::from_slice(bytes).map_err(|error| Flaw::malformed("payload", error))?;
    let critical = payload.critical;
    if critical.kind != TYPE {
        return Err(Flaw::malformed(
            "payload",
            format!("its type is \"{}\"", critical.kind),
        ));
    }
    Ok(Signed {
        repository: repository(&critical.identity.docker_reference).to_owned(),
        digest: critical.image.docker_manifest_digest,
    })
}

/// Payload for an image.
pub(crate) fn write(repository: &str, digest: &str) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Payload {
        critical: Critical {
            identity: Identity {
                docker_reference: repository.to_owned(),
            },
            image: Digest {
                docker_manifest_digest: digest.to_owned(),
            },
            kind: TYPE.to_owned(),
        },
        optional: serde_json::Value::Null,
    })
}

/// Some clients sign the whole reference. A colon behind the last slash begins a tag; one before it, a port.
fn repository(reference: &str) -> &str {
    let name = reference
        .split_once('@')
        .map_or(reference, |(name, _)| name);
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[last..].find(':') {
        Some(colon) if last > 0 => &name[..last + colon],
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = write("localhost:5000/a/b", "sha256:00").unwrap();
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            "{\"critical\":{\"identity\":{\"docker-reference\":\"localhost:5000/a/b\"},\
             \"image\":{\"docker-manifest-digest\":\"sha256:00\"},\
             \"type\":\"cosign container image signature\"},\"optional\":null}"
        );
        let signed = read(&bytes).unwrap();
        assert_eq!(signed.repository, "localhost:5000/a/b");
        assert_eq!(signed.digest, "sha256:00");
    }

    #[test]
    fn tags_and_digests_are_no_part_of_the_repository() {
        for (reference, expected) in [
            ("quay.io/a/b", "quay.io/a/b"),
            ("quay.io/a/b:v1", "quay.io/a/b"),
            ("localhost:5000/b", "localhost:5000/b"),
            ("localhost:5000/b:v1@sha256:00", "localhost:5000/b"),
            ("localhost:5000", "localhost:5000"),
            ("", ""),
        ] {
            assert_eq!(repository(reference), expected);
        }
    }

    #[test]
    fn what_is_critical_and_unknown_is_refused() {
        let good = String::from_utf8(write("a", "sha256:00").unwrap()).unwrap();
        for (from, to) in [
            ("\"critical\":{", "\"critical\":{\"valid-until\":0,"),
            ("\"identity\":{", "\"identity\":{\"other\":1,"),
            ("\"image\":{", "\"image\":{\"other\":1,"),
            (
                "cosign container image signature",
                "atomic container signature",
            ),
            ("docker-manifest-digest", "digest"),
            ("\"type\"", "\"kind\""),
        ] {
            assert!(good.contains(from));
            assert!(read(good.replace(from, to).as_bytes()).is_err(), "{to}");
        }
        for bytes in [&b""[..], b"{}", b"[]", b"\xff", b"{\"critical\":null}"] {
            assert!(read(bytes).is_err());
        }
    }
}
