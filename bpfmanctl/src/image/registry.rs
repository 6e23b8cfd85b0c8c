//! The way to a registry, for what is done without the service.

use crate::exit::Error;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci::Reference;
use oci::registry::{Client, Credentials, Repository, Settings};
use zeroize::Zeroizing;

/// The image that somebody names.
pub(crate) fn reference(text: &str) -> Result<Reference, Error> {
    text.parse()
        .map_err(|error: oci::Error| Error::Usage(error.to_string()))
}

/// Does something with the repository of a reference. The runtime lives no longer than that.
pub(crate) fn with<T>(
    reference: &Reference,
    auth: Option<&str>,
    act: impl AsyncFnOnce(Repository) -> Result<T, oci::Error>,
) -> Result<T, Error> {
    let credentials = auth.map(explicit).transpose()?;
    let failed = |error: oci::Error| Error::Failed(format!("image {reference}: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = Client::new(Settings::default()).map_err(failed)?;
        let repository = client.repository(reference, credentials).map_err(failed)?;
        act(repository).await.map_err(failed)
    })
}

/// From base64 of `USER:PASSWORD`. What is wrong with it is said without repeating any of it.
fn explicit(text: &str) -> Result<Credentials, Error> {
    let wrong = || {
        Error::Usage(
            "--registry-auth (BPFMAN_REGISTRY_AUTH) must be base64 of USER:PASSWORD".to_owned(),
        )
    };
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| wrong())?);
    let (user, password) = str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.split_once(':'))
        .ok_or_else(wrong)?;
    Credentials::basic(user, password).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_checked_and_never_repeated() {
        assert!(explicit("dXNlcjpwYXNzOndvcmQ=").is_ok());
        for bad in [
            "",
            "dXNlcg==",
            "dXNlcjo=",
            "OnBhc3M=",
            "!!!",
            "dXNlcjpwYXNz/",
        ] {
            let error = explicit(bad).err().unwrap().to_string();
            assert!(error.contains("USER:PASSWORD"), "{error}");
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
    }
}
