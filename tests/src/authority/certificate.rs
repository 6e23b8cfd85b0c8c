//! Certificates as Fulcio issues them, with a timestamp of a certificate log inside
//! (<https://github.com/sigstore/fulcio/blob/main/docs/certificate-specification.md>, RFC 6962).

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
    SerialNumber, SigningKey as _,
};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

const ISSUER: [u64; 9] = [1, 3, 6, 1, 4, 1, 57264, 1, 8];
/// The same without an element around it, for clients that know no other.
const OLD_ISSUER: [u64; 9] = [1, 3, 6, 1, 4, 1, 57264, 1, 1];
const TIMESTAMPS: [u64; 10] = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];

/// Who a certificate is for.
#[derive(Clone, Debug)]
pub struct Subject {
    /// An address, or a URI if there is a colon in it.
    pub name: String,
    /// Who vouched for it.
    pub issuer: String,
    /// From when, in seconds since the epoch.
    pub from: i64,
    /// Until when.
    pub until: i64,
    /// Whether it may sign code.
    pub code_signing: bool,
}

impl Subject {
    /// Valid for ten minutes around [`super::NOW`].
    pub fn new(name: &str, issuer: &str) -> Self {
        Self {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            from: super::NOW - 300,
            until: super::NOW + 300,
            code_signing: true,
        }
    }
}

/// A certificate with its key.
pub struct Certificate {
    key: KeyPair,
    der: Vec<u8>,
}

impl Certificate {
    /// Its bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The same as text.
    pub fn pem(&self) -> String {
        let block = pem::Pem::new("CERTIFICATE", self.der.clone());
        let form = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&block, form)
    }

    /// Signs with its key.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message).expect("a key of the tests")
    }
}

/// The authority.
pub struct Issuer {
    issuer: rcgen::CertifiedIssuer<'static, KeyPair>,
    log: KeyPair,
}

impl Issuer {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        Self {
            issuer: rcgen::CertifiedIssuer::self_signed(params, key()).expect("a root"),
            log: key(),
        }
    }

    pub(super) fn root(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// Its own certificate.
    pub fn root_pem(&self) -> String {
        self.issuer.pem()
    }

    pub(super) fn log_key(&self) -> &KeyPair {
        &self.log
    }

    /// Issues a certificate that is logged.
    pub fn issue(&self, subject: &Subject) -> Certificate {
        self.issue_logged_by(subject, Some(&self.log))
    }

    /// Issues a certificate that this log has seen, or none.
    pub fn issue_logged_by(&self, subject: &Subject, log: Option<&KeyPair>) -> Certificate {
        let own = key();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from_slice(&[1, 2, 3, 4]));
        let name = subject.name.as_str().try_into().expect("an ASCII name");
        params.subject_alt_names = vec![if subject.name.contains(':') {
            SanType::URI(name)
        } else {
            SanType::Rfc822Name(name)
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![if subject.code_signing {
            ExtendedKeyUsagePurpose::CodeSigning
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        }];
        params.use_authority_key_identifier_extension = true;
        params.not_before =
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(subject.from as u64);
        params.not_after =
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(subject.until as u64);
        let issuer = subject.issuer.as_bytes();
        params.custom_extensions = vec![
            CustomExtension::from_oid_content(&OLD_ISSUER, issuer.to_vec()),
            CustomExtension::from_oid_content(&ISSUER, element(0x0c, issuer)),
        ];
        let sign = |params: &CertificateParams| {
            params
                .signed_by(&own, &self.issuer)
                .expect("a certificate")
                .der()
                .to_vec()
        };
        if let Some(log) = log {
            let stamp = self.stamp(log, to_be_signed(&sign(&params)));
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(
                    &TIMESTAMPS,
                    element(0x04, &stamp),
                ));
        }
        let der = sign(&params);
        Certificate { key: own, der }
    }

    /// A list of one timestamp (RFC 6962, 3.2 and 3.3).
    fn stamp(&self, log: &KeyPair, certificate: &[u8]) -> Vec<u8> {
        let time = (super::NOW as u64 * 1000).to_be_bytes();
        let issuer = Sha256::digest(self.issuer.key().subject_public_key_info());
        let length = (certificate.len() as u32).to_be_bytes();
        let mut signed = vec![0, 0];
        signed.extend_from_slice(&time);
        signed.extend_from_slice(&[0, 1]);
        signed.extend_from_slice(&issuer);
        signed.extend_from_slice(&length[1..]);
        signed.extend_from_slice(certificate);
        signed.extend_from_slice(&[0, 0]);
        let signature = log.sign(&signed).expect("a key of the tests");

        let mut stamp = vec![0];
        stamp.extend_from_slice(&Sha256::digest(log.subject_public_key_info()));
        stamp.extend_from_slice(&time);
        // No extensions; ECDSA with SHA-256.
        stamp.extend_from_slice(&[0, 0, 4, 3]);
        stamp.extend_from_slice(&prefixed(&signature));
        prefixed(&prefixed(&stamp))
    }
}

/// A key of ECDSA P-256.
pub(super) fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("randomness")
}

/// With its length before it, as TLS does.
fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let mut all = (bytes.len() as u16).to_be_bytes().to_vec();
    all.extend_from_slice(bytes);
    all
}

/// An element of ASN.1.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match content.len() {
        short @ 0..128 => bytes.push(short as u8),
        byte @ 128..256 => bytes.extend([0x81, byte as u8]),
        long => {
            bytes.push(0x82);
            bytes.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

/// The part of a certificate that is signed: its first element.
pub(super) fn to_be_signed(certificate: &[u8]) -> &[u8] {
    elements(content(certificate))[0]
}

/// What is in an element.
pub(super) fn content(element: &[u8]) -> &[u8] {
    &element[header(element).0..]
}

/// The elements that follow one another.
pub(super) fn elements(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (start, length) = header(bytes);
        let (element, rest) = bytes.split_at(start + length);
        found.push(element);
        bytes = rest;
    }
    found
}

/// Bytes of an element's tag and length; the length.
fn header(bytes: &[u8]) -> (usize, usize) {
    match bytes[1] {
        0x82 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        0x81 => (3, usize::from(bytes[2])),
        short => (2, usize::from(short)),
    }
}
