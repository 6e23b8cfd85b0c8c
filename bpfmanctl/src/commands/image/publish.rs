//! Pushing to a registry, with the user's rights and without the service.

use crate::commands::write;
use crate::console::Console;
use crate::exit::Error;
use crate::image::registry;
use oci::build::{Image, layout::Tagged};
use oci::registry::Repository;
use oci::{Reference, Selector};

/// Pushes images to the reference's repository, each under its tag, and says what the first one became.
pub(super) fn publish(
    reference: &Reference,
    images: &Tagged,
    auth: Option<&str>,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    registry::with(reference, auth, async |repository| {
        for (tag, image) in images {
            push(&repository, tag, image).await?;
        }
        Ok(())
    })?;
    match images.first() {
        Some((_, image)) => {
            let line = format!("published: {}@{}\n", reference.name(), image.top.digest);
            write(console, &line)
        }
        None => Ok(()),
    }
}

/// What is pointed to comes before what points to it: a registry refuses the other order.
async fn push(repository: &Repository, tag: &str, image: &Image) -> Result<(), oci::Error> {
    for blob in &image.blobs {
        repository.push_blob(&blob.bytes).await?;
    }
    for manifest in &image.manifests {
        let selector = Selector::Digest(manifest.digest);
        repository
            .push_manifest(&selector, &manifest.media_type, &manifest.bytes)
            .await?;
    }
    let (selector, top) = (Selector::Tag(tag.to_owned()), &image.top);
    repository
        .push_manifest(&selector, &top.media_type, &top.bytes)
        .await?;
    Ok(())
}
