//! Images on disk: the OCI layout, as a directory or as an archive of one (OCI image specification, image-layout.md).

use super::{Content, Image};
use crate::manifest::{Descriptor, Document, Index};
use crate::{Digest, Error, limits, media_type};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const MARKER: &str = "oci-layout";
const MARKER_TEXT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX: &str = "index.json";
/// Annotation with the tag.
const NAME: &str = "org.opencontainers.image.ref.name";

/// Bytes of all content of a layout that is read: an object of the largest size for each platform that there is.
const LAYOUT_BYTES: u64 = 32 * limits::LAYER_BYTES;
/// Files of a layout that is read.
const LAYOUT_FILES: usize = 1024;

/// Why a layout could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The directory or file is there already.
    #[error("{} exists; name a new one, or remove it", .0.display())]
    Exists(PathBuf),
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is none, or damaged.
    #[error("{} is no OCI layout: {cause}", path.display())]
    Invalid {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

/// Images by tag, of which the first one is what the layout is about.
pub type Tagged = Vec<(String, Image)>;

/// Files of a layout by name, in the order in which an archive has them.
fn files(images: &[(String, Image)]) -> Result<Vec<(String, Vec<u8>)>, serde_json::Error> {
    let mut blobs = BTreeMap::new();
    let mut listed = Vec::new();
    for (tag, image) in images {
        let parts = image.blobs.iter().chain(&image.manifests);
        for content in parts.chain([&image.top]) {
            blobs.insert(blob(&content.digest), content.bytes.clone());
        }
        listed.push(Descriptor {
            annotations: [(NAME.to_owned(), tag.clone())].into(),
            ..image.top.descriptor()
        });
    }
    let index = serde_json::to_vec(&Index {
        schema_version: 2,
        media_type: Some(media_type::INDEX.to_owned()),
        manifests: listed,
        annotations: BTreeMap::new(),
    })?;
    let mut files = vec![
        (MARKER.to_owned(), MARKER_TEXT.as_bytes().to_vec()),
        (INDEX.to_owned(), index),
    ];
    files.extend(blobs);
    Ok(files)
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Writes images to a new directory, or to a new archive where the name ends in `.tar`. What cannot be finished is
/// removed.
///
/// # Errors
///
/// [`LayoutError::Exists`], and whatever the file system says.
pub fn save(path: &Path, images: &[(String, Image)], created: u64) -> Result<(), LayoutError> {
    let failed = |source| LayoutError::Io {
        path: path.to_owned(),
        source,
    };
    let files = files(images).map_err(|error| failed(error.into()))?;
    let exists = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => LayoutError::Exists(path.to_owned()),
        _ => failed(error),
    };
    if path.extension().is_some_and(|extension| extension == "tar") {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(exists)?;
        let borrowed = files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        let written = super::archive(borrowed, created).and_then(|bytes| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        return written.map_err(|error| {
            // Nothing else can be done with half an archive.
            let _ = fs::remove_file(path);
            failed(error)
        });
    }
    fs::create_dir(path).map_err(exists)?;
    let written = fs::create_dir_all(path.join("blobs/sha256")).and_then(|()| {
        files
            .iter()
            .try_for_each(|(name, bytes)| fs::write(path.join(name), bytes))
    });
    written.map_err(|error| {
        let _ = fs::remove_dir_all(path);
        failed(error)
    })
}

/// Reads the images of a layout, each whole and with its digests checked. Images without a tag get none (an empty one).
///
/// # Errors
///
/// What is no layout, incomplete, damaged, or beyond a bound.
pub fn load(path: &Path) -> Result<Tagged, LayoutError> {
    let failed = |source| LayoutError::Io {
        path: path.to_owned(),
        source,
    };
    let invalid = |cause: String| LayoutError::Invalid {
        path: path.to_owned(),
        cause,
    };
    let files = if fs::metadata(path).map_err(failed)?.is_dir() {
        Files::Directory(path)
    } else {
        Files::Archive(unpack(path)?)
    };
    if files.read(MARKER, 4096).is_err() {
        return Err(invalid(format!("it has no file {MARKER}")));
    }
    let index = files.read(INDEX, limits::MANIFEST_BYTES).map_err(invalid)?;
    let Document::Index(index) =
        Document::parse(media_type::INDEX, &index).map_err(|error| invalid(error.to_string()))?
    else {
        return Err(invalid("its index is none".to_owned()));
    };
    let images = index.manifests.iter().map(|descriptor| {
        let tag = descriptor.annotations.get(NAME).cloned();
        Ok((tag.unwrap_or_default(), files.image(descriptor)?))
    });
    images.collect::<Result<_, String>>().map_err(invalid)
}

/// Where a layout's files are.
enum Files<'a> {
    Directory(&'a Path),
    Archive(HashMap<String, Vec<u8>>),
}

impl Files<'_> {
    fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, String> {
        match self {
            Self::Directory(path) => {
                let mut bytes = Vec::new();
                File::open(path.join(name))
                    .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
                    .map_err(|error| format!("{name}: {error}"))?;
                if bytes.len() as u64 > limit {
                    return Err(format!("{name} is larger than {limit} bytes"));
                }
                Ok(bytes)
            }
            Self::Archive(files) => files
                .get(name)
                .cloned()
                .ok_or_else(|| format!("{name} is not in it")),
        }
    }

    fn content(&self, descriptor: &Descriptor, limit: u64) -> Result<Content, String> {
        let bytes = self.read(&blob(&descriptor.digest), limit)?;
        let content = Content::new(&descriptor.media_type, bytes);
        if content.digest != descriptor.digest {
            return Err(format!("{} is damaged", descriptor.digest));
        }
        Ok(content)
    }

    fn image(&self, descriptor: &Descriptor) -> Result<Image, String> {
        let text = |error: Error| error.to_string();
        let top = self.content(descriptor, limits::MANIFEST_BYTES)?;
        let mut image = Image {
            blobs: Vec::new(),
            manifests: Vec::new(),
            top,
        };
        match Document::parse(&image.top.media_type, &image.top.bytes).map_err(text)? {
            Document::Image(manifest) => {
                for part in manifest.layers.iter().chain([&manifest.config]) {
                    image.blobs.push(self.content(part, limits::LAYER_BYTES)?);
                }
            }
            Document::Index(index) => {
                for listed in &index.manifests {
                    // An index in an index is followed no further than this: none of ours is one.
                    if media_type::shape(&listed.media_type) != Some(media_type::Shape::Image) {
                        return Err(format!("{} is no image", listed.digest));
                    }
                    let Image { blobs, top, .. } = self.image(listed)?;
                    image.blobs.extend(blobs);
                    image.manifests.push(top);
                }
            }
        }
        Ok(image)
    }
}

/// All files of an archive, by name.
fn unpack(path: &Path) -> Result<HashMap<String, Vec<u8>>, LayoutError> {
    let failed = |source| LayoutError::Io {
        path: path.to_owned(),
        source,
    };
    let invalid = |cause: String| LayoutError::Invalid {
        path: path.to_owned(),
        cause,
    };
    let mut files = HashMap::new();
    let file = File::open(path).map_err(failed)?;
    let mut archive = tar::Archive::new(file.take(LAYOUT_BYTES));
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(|error| invalid(error.to_string()))?;
        let name = entry.path().map_err(|error| invalid(error.to_string()))?;
        let name = name.to_string_lossy().trim_start_matches("./").to_owned();
        if !entry.header().entry_type().is_file() {
            continue;
        }
        if files.len() >= LAYOUT_FILES {
            return Err(invalid(format!("it has more than {LAYOUT_FILES} files")));
        }
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| invalid(error.to_string()))?;
        files.insert(name, bytes);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{build, tests::recipe};

    #[test]
    fn what_is_saved_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let images = vec![
            (
                "v1".to_owned(),
                build(&recipe(&["amd64", "arm64"], true)).unwrap(),
            ),
            (
                "single".to_owned(),
                build(&recipe(&["amd64"], false)).unwrap(),
            ),
        ];
        for name in ["layout", "layout.tar"] {
            let path = directory.path().join(name);
            save(&path, &images, 0).unwrap();
            let loaded = load(&path).unwrap();
            assert_eq!(loaded.len(), 2);
            for ((tag, image), (loaded_tag, loaded)) in images.iter().zip(&loaded) {
                assert_eq!((tag, &image.top), (loaded_tag, &loaded.top));
                assert_eq!(image.manifests, loaded.manifests);
                assert!(image.blobs.iter().all(|blob| loaded.blobs.contains(blob)));
            }
            assert!(matches!(
                save(&path, &images, 0),
                Err(LayoutError::Exists(_))
            ));
        }
    }

    #[test]
    fn archives_are_the_same_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let images = vec![("v1".to_owned(), build(&recipe(&["amd64"], false)).unwrap())];
        let bytes = ["a.tar", "b.tar"].map(|name| {
            let path = directory.path().join(name);
            save(&path, &images, 7).unwrap();
            fs::read(path).unwrap()
        });
        assert_eq!(bytes[0], bytes[1]);
    }

    #[test]
    fn what_is_damaged_or_no_layout_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let image = build(&recipe(&["amd64"], false)).unwrap();
        let layer = directory
            .path()
            .join("l")
            .join(blob(&image.blobs[0].digest));
        save(&directory.path().join("l"), &[("v1".to_owned(), image)], 0).unwrap();
        fs::write(&layer, "other").unwrap();
        let error = load(&directory.path().join("l")).unwrap_err().to_string();
        assert!(error.contains("is damaged"), "{error}");
        fs::remove_file(&layer).unwrap();
        assert!(load(&directory.path().join("l")).is_err());
        for name in ["none", "empty"] {
            let path = directory.path().join(name);
            if name == "empty" {
                fs::create_dir(&path).unwrap();
            }
            assert!(load(&path).is_err());
        }
        let file = directory.path().join("file.tar");
        fs::write(&file, "no archive").unwrap();
        assert!(load(&file).is_err());
    }
}
