//! A transparency log as Rekor is one: promises, Merkle proofs (RFC 6962, 2.1), checkpoints
//! (<https://github.com/transparency-dev/formats/blob/main/log/README.md>).

use super::{encode, hexadecimal};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Index of the first entry among all shards of the log: what is promised and what is proven count differently.
const FIRST: usize = 1000;

type Hash = [u8; 32];

/// The log.
pub struct Log {
    key: KeyPair,
    leaves: Vec<Hash>,
}

/// An entry with promise and proof, as of the moment at which it was made.
#[derive(Clone, Debug)]
pub struct Entry {
    id: Vec<u8>,
    body: Vec<u8>,
    kind: (String, String),
    index: usize,
    at: i64,
    promise: Vec<u8>,
    proof: Vec<Hash>,
    root: Hash,
    size: usize,
    checkpoint: String,
}

impl Log {
    pub(super) fn new() -> Self {
        // Of other people, so that proofs are not empty.
        let leaves = (0u8..5).map(|other| leaf(&[other])).collect();
        Self {
            key: super::certificate::key(),
            leaves,
        }
    }

    pub(super) fn key(&self) -> &KeyPair {
        &self.key
    }

    /// Public key, as text.
    pub fn public_key(&self) -> String {
        self.key.public_key_pem()
    }

    /// Appends an entry at a time in seconds since the epoch.
    pub fn append(&mut self, body: Value, at: i64) -> Entry {
        let text = |key: &str| body[key].as_str().expect("a body").to_owned();
        let kind = (text("kind"), text("apiVersion"));
        let body = body.to_string().into_bytes();
        let index = self.leaves.len();
        self.leaves.push(leaf(&body));
        self.leaves.push(leaf(b"of somebody else"));
        let id = Sha256::digest(self.key.subject_public_key_info()).to_vec();
        // Canonical JSON: keys in order, no space.
        let promised = format!(
            "{{\"body\":\"{}\",\"integratedTime\":{at},\"logID\":\"{}\",\"logIndex\":{}}}",
            encode(&body),
            hexadecimal(&id),
            FIRST + index
        );
        let root = root(&self.leaves);
        let size = self.leaves.len();
        let note = format!("log.test - 1\n{size}\n{}\n", encode(&root));
        let mut signature = id[..4].to_vec();
        signature.extend(self.sign(note.as_bytes()));
        Entry {
            promise: self.sign(promised.as_bytes()),
            proof: path(index, &self.leaves),
            checkpoint: format!("{note}\n\u{2014} log.test {}\n", encode(&signature)),
            id,
            body,
            kind,
            index,
            at,
            root,
            size,
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message).expect("a key of the tests")
    }
}

impl Entry {
    /// As in a bundle, in the way of the second version of Rekor: no promise, no time, one way of counting.
    pub fn in_bundle_of_rekor_2(&self) -> Value {
        let mut entry = self.in_bundle();
        entry["logIndex"] = json!(self.index.to_string());
        for part in ["inclusionPromise", "integratedTime"] {
            entry.as_object_mut().expect("an object").remove(part);
        }
        entry
    }

    /// As an annotation of the older form: only the promise.
    pub fn annotation(&self) -> Value {
        json!({
            "SignedEntryTimestamp": encode(&self.promise),
            "Payload": {
                "body": encode(&self.body),
                "integratedTime": self.at,
                "logIndex": FIRST + self.index,
                "logID": hexadecimal(&self.id),
            },
        })
    }

    /// As in a bundle: promise and proof.
    pub fn in_bundle(&self) -> Value {
        let hashes: Vec<String> = self.proof.iter().map(|hash| encode(hash)).collect();
        json!({
            "logIndex": (FIRST + self.index).to_string(),
            "logId": {"keyId": encode(&self.id)},
            "kindVersion": {"kind": self.kind.0, "version": self.kind.1},
            "integratedTime": self.at.to_string(),
            "inclusionPromise": {"signedEntryTimestamp": encode(&self.promise)},
            "inclusionProof": {
                "logIndex": self.index.to_string(),
                "rootHash": encode(&self.root),
                "treeSize": self.size.to_string(),
                "hashes": hashes,
                "checkpoint": {"envelope": self.checkpoint},
            },
            "canonicalizedBody": encode(&self.body),
        })
    }
}

fn leaf(body: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(body)
        .finalize()
        .into()
}

fn node(left: Hash, right: Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The largest power of two below the number of leaves, of which there are two or more.
fn split(leaves: &[Hash]) -> usize {
    leaves.len().div_ceil(2).next_power_of_two()
}

fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        several => {
            let (left, right) = several.split_at(split(several));
            node(root(left), root(right))
        }
    }
}

fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let at = split(leaves);
    let (left, right) = leaves.split_at(at);
    let (mut inner, sibling) = if index < at {
        (path(index, left), root(right))
    } else {
        (path(index - at, right), root(left))
    };
    inner.push(sibling);
    inner
}
