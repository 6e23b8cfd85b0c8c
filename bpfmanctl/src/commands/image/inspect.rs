//! `image inspect`: what an image in a registry consists of. The service has no part in it.

use crate::cli::ImageInspectArgs;
use crate::commands::write;
use crate::console::Console;
use crate::exit::Error;
use crate::image::registry;
use crate::json::{self, image::Inspection, image::Part};
use oci::config::Config;
use oci::labels::Labels;
use oci::manifest::{Document, Manifest};
use oci::registry::Repository;
use oci::{Reference, Selector, limits};

pub(super) fn inspect(
    arguments: &ImageInspectArgs,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let reference = registry::reference(&arguments.image)?;
    let auth = arguments.registry.registry_auth.as_deref();
    let inspection = registry::with(&reference, auth, async |repository| {
        look(&reference, &repository).await
    })?;
    write(console, &json::render(&inspection)?)
}

async fn look(reference: &Reference, repository: &Repository) -> Result<Inspection, oci::Error> {
    let fetched = repository.fetch_manifest(&reference.selector()).await?;
    let mut inspection = Inspection::new(reference, &fetched);
    match fetched.document()? {
        Document::Image(manifest) => inspection.part = part(repository, &manifest).await?,
        Document::Index(index) => {
            for listed in &index.manifests {
                let selector = Selector::Digest(listed.digest);
                // An index in an index is listed, and not looked into.
                let part = match repository.fetch_manifest(&selector).await?.document()? {
                    Document::Image(manifest) => part(repository, &manifest).await?,
                    Document::Index(_) => Part::default(),
                };
                inspection.list(listed, part);
            }
        }
    }
    Ok(inspection)
}

async fn part(repository: &Repository, manifest: &Manifest) -> Result<Part, oci::Error> {
    let labels = match manifest.labelled_config()? {
        Some(config) => {
            let bytes = repository
                .fetch_content(
                    "the image configuration",
                    config,
                    limits::CONFIG_BYTES,
                    &mut |_| (),
                )
                .await?;
            Labels::parse(&Config::parse(&bytes)?.labels)?
        }
        None => Labels::parse(&manifest.annotations)?,
    };
    Ok(Part::new(labels, &manifest.layers))
}
