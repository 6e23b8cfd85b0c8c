//! What the service keeps of images.

use crate::cli::{ImagePruneArgs, ImagePullArgs, OutputArgs};
use crate::commands::{Service, print, write};
use crate::console::Console;
use crate::credentials::{self, Passed};
use crate::exit::Error;
use crate::{json, progress, text};
use ipc::messages::program::Source;
use oci::Reference;
use std::os::fd::AsFd;

/// The credentials for an image, ready to be passed on. A reference that is none is refused before anybody is asked.
pub(crate) fn credentials(image: &str, given: Option<&str>) -> Result<Option<Passed>, Error> {
    let reference: Reference = image
        .parse()
        .map_err(|error: oci::Error| Error::Usage(format!("{error}; {}", error.remedy())))?;
    let found = credentials::find(&reference, given)?;
    Ok(found.as_ref().map(Passed::new).transpose()?)
}

pub(super) fn pull(
    arguments: &ImagePullArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let passed = credentials(
        &arguments.image,
        arguments.registry.registry_auth.as_deref(),
    )?;
    let mut client = service.connect()?;
    let image = progress::shown(service.runtime_dir(), &arguments.image, || {
        let credentials = passed.as_ref().map(AsFd::as_fd);
        client.pull(
            arguments.image.clone(),
            arguments.registry.pull_policy,
            credentials,
        )
    })?;
    print(
        console,
        arguments.output.output,
        |_| {
            format!(
                "pulled: {}@{}\n",
                image.reference,
                text::digest(&image.manifest)
            )
        },
        || json::Image::from(image.clone()),
    )
}

pub(super) fn list(
    arguments: &OutputArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let images = service.connect()?.images()?;
    print(
        console,
        arguments.output,
        |width| text::images(&images, width),
        || json::ImageList::from(images.clone()),
    )
}

/// Images that programs were loaded from stay, unless all are to go: a program that runs does not need its image, the same
/// load after a restart of the machine does.
pub(super) fn prune(
    arguments: &ImagePruneArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let mut client = service.connect()?;
    let mut keep = Vec::new();
    if !arguments.all {
        for program in client.programs()? {
            if let Source::Image(image) = program.record.source
                && let Some(origin) = image.origin
                && !keep.contains(&origin.manifest)
            {
                keep.push(origin.manifest);
            }
        }
    }
    let (images, bytes) = client.prune_images(keep)?;
    write(
        console,
        &format!("removed: {images} image(s), {bytes} bytes\n"),
    )
}
