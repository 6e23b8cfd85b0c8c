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
    console: &mut Console<'_>,
) -> Result<(), Error> {
    // Everything of this command happens here, so that the runtime lives no longer than it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let pushed = runtime.block_on(async {
        let repository = registry::repository(reference)?;
        for (tag, image) in images {
            push(&repository, tag, image).await?;
        }
        Ok(())
    });
    pushed.map_err(|error: oci::Error| Error::Failed(error.to_string()))?;
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
