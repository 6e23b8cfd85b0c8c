//! `image verify`: who signed an image in a registry, and whether that is who the user trusts.

use super::cache::credentials;
use crate::cli::ImageVerifyArgs;
use crate::commands::{Service, write};
use crate::console::Console;
use crate::exit::Error;
use crate::image::registry;
use crate::object::open_regular;
use crate::text::digest;
use crate::text::image::grounds;
use image_worker::evidence;
use ipc::messages::pull::PullPolicy;
use ipc::messages::signing::{Grounds, Pattern, Signers, SigningSettings, TrustedIdentity};
use oci::Reference;
use signing::{Policy, Trust};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

pub(super) fn verify(
    arguments: &ImageVerifyArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let reference = registry::reference(&arguments.image)?;
    let auth = arguments.registry.registry_auth.as_deref();
    let Some(policy) = policy(arguments)? else {
        return ask(service, arguments, &reference, console);
    };
    let (digest, found) = registry::with(&reference, auth, async |repository| {
        let fetched = repository.fetch_manifest(&reference.selector()).await?;
        let found = evidence::fetch(&repository, &fetched.digest).await?;
        Ok((fetched.digest, found))
    })?;
    let accepted = evidence::judge(&reference, &digest, &found, &policy)?;
    let text = said(&reference, &accepted.grounds);
    write(console, &format!("{text}\n  Digest: {digest}\n"))
}

/// The verdict of the service, under its own policy. What it accepts is in its cache then.
fn ask(
    service: &Service,
    arguments: &ImageVerifyArgs,
    reference: &Reference,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let passed = credentials(
        &arguments.image,
        arguments.registry.registry_auth.as_deref(),
    )?;
    let image = service.connect()?.pull(
        arguments.image.clone(),
        PullPolicy::Always,
        passed.as_ref().map(AsFd::as_fd),
    )?;
    let Some(accepted) = &image.acceptance else {
        return Err(Error::Failed(format!(
            "image {reference} was pulled and not accepted"
        )));
    };
    let text = said(reference, &accepted.grounds);
    write(
        console,
        &format!("{text}\n  Digest: {}\n", digest(&image.digest)),
    )
}

fn said(reference: &Reference, found: &Grounds) -> String {
    let what = match found {
        Grounds::Key { .. } | Grounds::Identity { .. } => "signature verified",
        Grounds::Unsigned => "unsigned image accepted by policy",
        Grounds::NotChecked => "signature verification disabled",
    };
    match grounds(found) {
        Some(by) => format!("Image {reference}: {what}\n  Signed by: {by}"),
        None => format!("Image {reference}: {what}"),
    }
}

/// The policy that the arguments stand for, if they say whom to trust. Keys are named by their paths.
fn policy(arguments: &ImageVerifyArgs) -> Result<Option<Policy>, Error> {
    let identities: Vec<_> = identity(arguments)?.into_iter().collect();
    if identities.is_empty() && arguments.key.is_empty() && !arguments.allow_unsigned {
        return Ok(None);
    }
    let failed = |error: signing::PolicyError| Error::Failed(error.to_string());
    let mut files = BTreeMap::new();
    if !identities.is_empty() || arguments.require_log || arguments.allow_unsigned {
        files = Trust::read(&arguments.trust_dir)
            .map_err(failed)?
            .into_files();
    }
    let mut keys = Vec::new();
    for path in &arguments.key {
        let name = path.display().to_string();
        let file = open_regular(path).map_err(|error| {
            Error::Failed(format!("key \"{name}\" {error}; {}", error.remedy()))
        })?;
        let mut bytes = Vec::new();
        File::from(file)
            .take(signing::limits::TRUST_FILE_BYTES + 1)
            .read_to_end(&mut bytes)?;
        files.insert(name.clone(), bytes);
        keys.push(name);
    }
    let settings = SigningSettings {
        allow_unsigned: arguments.allow_unsigned,
        signers: Signers {
            keys,
            identities,
            logged: arguments.require_log,
        },
        ..SigningSettings::default()
    };
    let trust = Trust::new(files).map_err(failed)?;
    Policy::new(&settings, &trust).map(Some).map_err(failed)
}

fn identity(arguments: &ImageVerifyArgs) -> Result<Option<TrustedIdentity>, Error> {
    let pattern = |exact: &Option<String>, regexp: &Option<String>| match (exact, regexp) {
        (Some(exact), _) => Some(Pattern::Exact(exact.clone())),
        (None, Some(regexp)) => Some(Pattern::Regexp(regexp.clone())),
        (None, None) => None,
    };
    let subject = pattern(
        &arguments.certificate_identity,
        &arguments.certificate_identity_regexp,
    );
    let issuer = pattern(
        &arguments.certificate_oidc_issuer,
        &arguments.certificate_oidc_issuer_regexp,
    );
    match (subject, issuer) {
        (Some(subject), Some(issuer)) => Ok(Some(TrustedIdentity { subject, issuer })),
        (None, None) => Ok(None),
        _ => Err(Error::Usage(
            "an identity has two halves: give --certificate-identity (or -regexp) and --certificate-oidc-issuer (or -regexp)"
                .to_owned(),
        )),
    }
}
