//! The verdict on an image.

use crate::bundle;
use crate::cosign;
use crate::error::Flaw;
use crate::limits;
use crate::material::Material;
use crate::payload;
use crate::policy::{Compiled, Policy, Terms, Trusted};
use crate::trust::{Key, Root};
use ipc::messages::signing::{Acceptance, Grounds};
use sigstore_verify::crypto::verify_signature;
use sigstore_verify::types::bundle::VerificationMaterialContent;
use sigstore_verify::types::{Artifact, Bundle, DsseEnvelope, Sha256Hash, SignatureBytes};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy};
use std::collections::BTreeMap;
use std::fmt;

/// The image to judge: what its reference was resolved to.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Registry and repository, short names expanded, without tag and digest.
    pub repository: &'a str,
    /// Digest of the manifest or index, `sha256:` and 64 hexadecimal digits in lower case.
    pub digest: &'a str,
}

/// Whether it may be loaded.
pub type Verdict = Result<Acceptance, Refusal>;

/// Why an image was refused.
#[derive(Debug)]
pub struct Refusal {
    /// Name of the image.
    pub image: String,
    /// The reason.
    pub reason: Reason,
    /// What is wrong with each signature, in the order in which they came.
    pub flaws: Vec<Flaw>,
}

/// The reason of a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// A rule says that it is never loaded.
    Forbidden,
    /// It has no signature and needs one.
    Unsigned,
    /// It is signed or must be, and nobody is trusted.
    NobodyTrusted,
    /// No signature is good enough.
    NotTrusted,
    /// There are more signatures than are looked at.
    TooMany,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ", self.image)?;
        match self.reason {
            Reason::Forbidden => formatter.write_str("is refused by a rule"),
            Reason::Unsigned => formatter.write_str("is not signed"),
            Reason::NobodyTrusted => formatter.write_str("must be signed, and nobody is trusted"),
            Reason::TooMany => write!(formatter, "has more than {} signatures", limits::MATERIALS),
            Reason::NotTrusted => {
                formatter.write_str("has no signature of somebody who is trusted")?;
                for (index, flaw) in self.flaws.iter().enumerate() {
                    write!(formatter, "\n  signature {}: {flaw}", index + 1)?;
                }
                Ok(())
            }
        }
    }
}

impl Refusal {
    /// What can be done about it.
    pub fn remedy(&self) -> &'static str {
        match self.reason {
            Reason::Forbidden => "change the rule in [[signing.rules]] if it is wrong",
            Reason::Unsigned => {
                "sign it (bpfmanctl image build --sign-key, cosign), or name its repository in [[signing.rules]] with \
                 require = \"nothing\""
            }
            Reason::NobodyTrusted => {
                "name keys or identities in [[signing.trusted_identities]] or [[signing.rules]] of the configuration"
            }
            Reason::NotTrusted => {
                "if the signer should be trusted, name its key or identity in [[signing.rules]]"
            }
            Reason::TooMany => "remove signatures that nobody needs from the registry",
        }
    }
}

/// Judges an image by its signatures. The first that is good enough decides.
///
/// # Errors
///
/// A [`Refusal`] with what is wrong with each signature. Without any signature only a policy that says so accepts; with
/// signatures one of them must count, even where unsigned images are accepted.
pub fn judge(image: &Image<'_>, materials: &[Material], policy: &Policy) -> Verdict {
    let accepted = |grounds| {
        Ok(Acceptance {
            grounds,
            policy: policy.digest(),
        })
    };
    let refused = |reason, flaws| {
        Err(Refusal {
            image: format!("{}@{}", image.repository, image.digest),
            reason,
            flaws,
        })
    };
    let terms = policy.terms(image.repository);
    let trusted = match &terms.demand {
        // Whether signatures are looked at has no part in this.
        Compiled::Refused => return refused(Reason::Forbidden, Vec::new()),
        Compiled::SignedBy(trusted) if policy.verify => trusted,
        Compiled::SignedBy(_) | Compiled::Nothing => return accepted(Grounds::NotChecked),
    };
    if materials.is_empty() {
        return match (trusted.unsigned, trusted.is_nobody()) {
            (true, _) => accepted(Grounds::Unsigned),
            (false, true) => refused(Reason::NobodyTrusted, Vec::new()),
            (false, false) => refused(Reason::Unsigned, Vec::new()),
        };
    }
    if trusted.is_nobody() {
        return refused(Reason::NobodyTrusted, Vec::new());
    }
    if materials.len() > limits::MATERIALS {
        return refused(Reason::TooMany, Vec::new());
    }
    let mut flaws = Vec::new();
    for material in materials {
        let case = Case {
            image,
            terms,
            trusted,
            root: policy.root.as_deref(),
        };
        match case.decide(material) {
            Ok(grounds) => return accepted(grounds),
            Err(flaw) => flaws.push(flaw),
        }
    }
    refused(Reason::NotTrusted, flaws)
}

impl Trusted {
    fn is_nobody(&self) -> bool {
        self.keys.is_empty() && self.identities.is_empty() && !self.anybody
    }
}

/// One signature and what it is held against.
struct Case<'a> {
    image: &'a Image<'a>,
    terms: &'a Terms,
    trusted: &'a Trusted,
    root: Option<&'a Root>,
}

impl Case<'_> {
    fn decide(&self, material: &Material) -> Result<Grounds, Flaw> {
        material.check()?;
        match material {
            Material::Cosign {
                payload,
                annotations,
            } => self.cosign(payload, annotations),
            Material::Bundle(bytes) => {
                let bundle = bundle::read(bytes)?;
                let envelope = bundle::states(&bundle, self.image.digest)?;
                self.bundle(&bundle, envelope)
            }
        }
    }

    fn cosign(
        &self,
        payload: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Grounds, Flaw> {
        self.is_for_this_image(payload)?;
        let artifact = Artifact::from_blob(payload);
        if cosign::has_certificate(annotations) {
            let bundle = cosign::bundle(annotations)?;
            bundle::check(&bundle)?;
            return self.identity(artifact, &bundle);
        }
        let signature = cosign::signature(annotations)?;
        let key = self.key(payload, &signature)?;
        if self.trusted.logged {
            let bundle = cosign::bundle(annotations)?;
            bundle::check(&bundle)?;
            self.is_logged(artifact, &bundle, key)?;
        }
        Ok(self.by_key(key))
    }

    fn bundle(&self, bundle: &Bundle, envelope: &DsseEnvelope) -> Result<Grounds, Flaw> {
        let artifact = self.manifest()?;
        let VerificationMaterialContent::PublicKey(_) = bundle.verification_material.content else {
            return self.identity(artifact, bundle);
        };
        // The statement was found to be about this image: that its signature is good is all that is missing.
        let key = self.key(&envelope.pae(), &envelope.signature.sig)?;
        if self.trusted.logged {
            self.is_logged(artifact, bundle, key)?;
        }
        Ok(self.by_key(key))
    }

    /// Whether the payload names this image, and this repository or one that counts for it.
    fn is_for_this_image(&self, payload: &[u8]) -> Result<(), Flaw> {
        let signed = payload::read(payload)?;
        if signed.digest != self.image.digest {
            return Err(Flaw::OtherImage {
                signed: signed.digest,
                wanted: self.image.digest.to_owned(),
            });
        }
        let also = |other: &crate::pattern::Repositories| other.contains(&signed.repository);
        if signed.repository != self.image.repository && !self.terms.signed_as.iter().any(also) {
            return Err(Flaw::OtherRepository {
                signed: signed.repository,
                wanted: self.image.repository.to_owned(),
            });
        }
        Ok(())
    }

    fn manifest(&self) -> Result<Artifact<'static>, Flaw> {
        let hex = self
            .image
            .digest
            .strip_prefix("sha256:")
            .unwrap_or_default();
        let digest =
            Sha256Hash::from_hex(hex).map_err(|error| Flaw::malformed("image digest", error))?;
        Ok(Artifact::from_digest(digest))
    }

    /// The trusted key that made a signature.
    fn key(&self, message: &[u8], signature: &SignatureBytes) -> Result<&Key, Flaw> {
        if self.trusted.keys.is_empty() {
            return Err(Flaw::NoKeyTrusted);
        }
        self.trusted
            .keys
            .iter()
            .find(|key| verify_signature(&key.spki, message, signature, key.scheme).is_ok())
            .ok_or(Flaw::OtherKey)
    }

    fn by_key(&self, key: &Key) -> Grounds {
        Grounds::Key {
            name: key.name.clone(),
            fingerprint: key.fingerprint(),
            logged: self.trusted.logged,
        }
    }

    fn is_logged(&self, artifact: Artifact<'_>, bundle: &Bundle, key: &Key) -> Result<(), Flaw> {
        if bundle.verification_material.tlog_entries.is_empty() {
            return Err(Flaw::NotLogged);
        }
        let root = self.root.ok_or(Flaw::NoRoot)?;
        let policy = PublicKeyVerificationPolicy::new(key.spki.clone());
        let result = root.verifier.verify(artifact, bundle, &policy);
        match result.map_err(Box::new)?.tlog_verified() {
            true => Ok(()),
            false => Err(Flaw::NotLogged),
        }
    }

    /// Whose certificate made a signature, if it is somebody who is trusted.
    fn identity(&self, artifact: Artifact<'_>, bundle: &Bundle) -> Result<Grounds, Flaw> {
        if self.trusted.identities.is_empty() && !self.trusted.anybody {
            return Err(Flaw::NoIdentityTrusted);
        }
        let root = self.root.ok_or(Flaw::NoRoot)?;
        let mut policy = VerificationPolicy::any_identity();
        if !root.certificate_logs {
            policy = policy.skip_sct();
        }
        let result = root.verifier.verify(artifact, bundle, &policy);
        let result = result.map_err(Box::new)?;
        // Both are demanded by the policy above: this is for the day on which it no longer says so.
        if !result.certificate_verified() || !result.tlog_verified() {
            return Err(Flaw::NotLogged);
        }
        let subject = result.identity().map(|subject| subject.as_str());
        let (subject, issuer) = (
            subject.unwrap_or_default().to_owned(),
            result.issuer().unwrap_or_default().to_owned(),
        );
        let is = |(trusted, by): &(crate::pattern::Text, crate::pattern::Text)| {
            trusted.is(&subject) && by.is(&issuer)
        };
        if !self.trusted.anybody && !self.trusted.identities.iter().any(is) {
            return Err(Flaw::OtherIdentity { subject, issuer });
        }
        let times = result.verified_timestamps().iter();
        Ok(Grounds::Identity {
            subject,
            issuer,
            signed_at: times.map(|time| time.as_second()).min().unwrap_or_default(),
        })
    }
}
