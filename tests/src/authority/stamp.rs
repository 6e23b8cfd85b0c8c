//! A time stamp authority (RFC 3161): what it answers is a signed message (RFC 5652) that names the hash of a signature.

use super::certificate::{content, element, elements, key, to_be_signed};
use super::encode;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SerialNumber, SigningKey as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Object identifiers, encoded.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const STAMP: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// Of nobody: the policy under which the tests stamp.
const POLICY: &[u8] = &[0x2a, 3, 4];

const INTEGER: u8 = 2;
const OCTETS: u8 = 4;
const OBJECT: u8 = 6;
const TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const FIRST: u8 = 0xa0;

/// The authority.
pub struct Stamper {
    key: KeyPair,
    certificate: Vec<u8>,
    root: Vec<u8>,
}

impl Stamper {
    pub(super) fn new() -> Self {
        let mut root = CertificateParams::default();
        root.distinguished_name = named("time stamp authority of the tests");
        root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        root.not_before = rcgen::date_time_ymd(2020, 1, 1);
        root.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let issuer = rcgen::CertifiedIssuer::self_signed(root, key()).expect("a root");
        let own = key();
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name = named("stamps of the tests");
        leaf.serial_number = Some(SerialNumber::from_slice(&[5, 6, 7, 8]));
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping];
        leaf.not_before = rcgen::date_time_ymd(2020, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let certificate = leaf.signed_by(&own, &issuer).expect("a certificate");
        Self {
            key: own,
            certificate: certificate.der().to_vec(),
            root: issuer.der().to_vec(),
        }
    }

    /// As a trusted root names it.
    pub fn instance(&self) -> Value {
        json!({
            "uri": "https://stamps.test",
            "subject": {"organization": "test", "commonName": "test"},
            "certChain": {"certificates": [
                {"rawBytes": encode(&self.certificate)},
                {"rawBytes": encode(&self.root)},
            ]},
            "validFor": {"start": "2020-01-01T00:00:00Z"},
        })
    }

    /// The answer to a request for a stamp of these bytes, at a time in seconds since the epoch.
    pub fn stamp(&self, signature: &[u8], at: i64) -> Vec<u8> {
        let imprint = sequence(&[
            &sequence(&[&element(OBJECT, SHA256)]),
            &element(OCTETS, &Sha256::digest(signature)),
        ]);
        let info = sequence(&[
            &element(INTEGER, &[1]),
            &element(OBJECT, POLICY),
            &imprint,
            &element(INTEGER, &[42]),
            &element(TIME, generalized(at).as_bytes()),
        ]);
        let signed = sequence(&[
            &element(INTEGER, &[3]),
            &element(SET, &sequence(&[&element(OBJECT, SHA256)])),
            &sequence(&[
                &element(OBJECT, STAMP),
                &element(FIRST, &element(OCTETS, &info)),
            ]),
            &element(FIRST, &self.certificate),
            &element(SET, &self.signer(&info)),
        ]);
        let granted = sequence(&[&element(INTEGER, &[0])]);
        let token = sequence(&[&element(OBJECT, SIGNED_DATA), &element(FIRST, &signed)]);
        sequence(&[&granted, &token])
    }

    /// Who signed, and the signature (RFC 5652, 5.3).
    fn signer(&self, info: &[u8]) -> Vec<u8> {
        // In the order of their bytes.
        let attributes = [
            attribute(CONTENT_TYPE, &element(OBJECT, STAMP)),
            attribute(MESSAGE_DIGEST, &element(OCTETS, &Sha256::digest(info))),
        ]
        .concat();
        // What is signed is the set; what is written has another tag.
        let signature = self.key.sign(&element(SET, &attributes));
        // Version, serial number, algorithm, issuer.
        let parts = elements(content(to_be_signed(&self.certificate)));
        sequence(&[
            &element(INTEGER, &[1]),
            &sequence(&[parts[3], parts[1]]),
            &sequence(&[&element(OBJECT, SHA256)]),
            &element(FIRST, &attributes),
            &sequence(&[&element(OBJECT, ECDSA_WITH_SHA256)]),
            &element(OCTETS, &signature.expect("a key of the tests")),
        ])
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

fn attribute(kind: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[&element(OBJECT, kind), &element(SET, value)])
}

/// `20250615150640Z`.
fn generalized(at: i64) -> String {
    let time = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(at as u64);
    let date = time.date();
    let (hour, minute, second) = time.time().as_hms();
    format!(
        "{:04}{:02}{:02}{hour:02}{minute:02}{second:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day()
    )
}
