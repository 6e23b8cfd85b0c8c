//! The way to a registry, for what is done without the service.

use crate::credentials;
use crate::exit::Error;
use oci::Reference;
use oci::registry::{Client, Repository, Settings};

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
    let credentials = credentials::find(reference, auth)?;
    let failed = |error: oci::Error| {
        Error::Failed(format!("image {reference}: {error}; {}", error.remedy()))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = Client::new(settings()).map_err(failed)?;
        let repository = client.repository(reference, credentials).map_err(failed)?;
        act(repository).await.map_err(failed)
    })
}

/// A tool of the user goes where the user's other tools go. The service does not: its proxy is in its configuration.
#[allow(
    clippy::disallowed_methods,
    reason = "where the proxy is is told by the environment, to this tool as to others"
)]
fn settings() -> Settings {
    let variable = |name: &str| {
        [name.to_owned(), name.to_lowercase()]
            .iter()
            .find_map(|name| std::env::var(name).ok())
            .filter(|value| !value.is_empty())
    };
    Settings {
        https_proxy: variable("HTTPS_PROXY"),
        no_proxy: variable("NO_PROXY"),
        ..Settings::default()
    }
}
