//! Images in the cache.

use crate::text::{accepted, digest};
use crate::time::rfc3339;
use ipc::messages::pull::CachedImage;
use serde::Serialize;

/// What `image list` prints, by reference.
#[derive(Serialize)]
pub(crate) struct ImageList {
    images: Vec<Image>,
}

/// An image, as `image pull` prints it, too.
#[derive(Serialize)]
pub(crate) struct Image {
    reference: String,
    /// Of the manifest for this machine.
    digest: String,
    /// Of what the reference leads to: the same, or an index.
    resolved_digest: String,
    size: u64,
    pulled_at: String,
    /// Null when the present policy does not accept it.
    accepted: Option<String>,
}

impl From<CachedImage> for Image {
    fn from(image: CachedImage) -> Self {
        Self {
            digest: digest(&image.manifest),
            resolved_digest: digest(&image.digest),
            reference: image.reference,
            size: image.bytes,
            pulled_at: rfc3339(image.pulled_at),
            accepted: image.acceptance.as_ref().map(accepted),
        }
    }
}

impl From<Vec<CachedImage>> for ImageList {
    fn from(images: Vec<CachedImage>) -> Self {
        Self {
            images: images.into_iter().map(Image::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::*;
    use crate::samples;

    #[test]
    fn lists() {
        insta::assert_snapshot!(render(&ImageList::from(samples::image::images())).unwrap());
        let empty = render(&ImageList::from(vec![])).unwrap();
        assert_eq!(empty, "{\n  \"images\": []\n}\n");
    }
}
