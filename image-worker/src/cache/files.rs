//! One folder of the cache: files that are whole or not there.

use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Files are written here first.
const NEW: &str = "new";

/// Tells files apart that are written at once.
static NUMBER: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    new: PathBuf,
}

impl Folder {
    pub(super) fn open(root: &Path, name: &str) -> io::Result<Self> {
        let (path, new) = (root.join(name), root.join(NEW));
        for directory in [&path, &new] {
            match fs::create_dir(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        for left in fs::read_dir(&new)? {
            fs::remove_file(left?.path())?;
        }
        Ok(Self { path, new })
    }

    /// All files.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // Names that are no text are not ours; they are hashes in hexadecimal digits.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.path)? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }

    /// A whole file, unless it is longer than that.
    pub(super) fn read(&self, name: &str, limit: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.path.join(name)).ok()?;
        file.take(limit as u64 + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() <= limit).then_some(bytes)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let new = self.new.join(number.to_string());
        let written = File::create_new(&new).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, self.path.join(name))?;
            File::open(&self.path)?.sync_all()
        });
        if written.is_err() {
            // It may not even be there.
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// As [`Folder::read`], for what [`Folder::write_checked`] wrote.
    pub(super) fn read_checked(&self, name: &str, limit: usize) -> Option<Vec<u8>> {
        let bytes = self.read(name, limit + 32)?;
        let (checksum, content) = bytes.split_at_checked(32)?;
        (Sha256::digest(content).as_slice() == checksum).then(|| content.to_vec())
    }

    /// Writes a file whose name does not say what is in it with a checksum before it.
    pub(super) fn write_checked(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut bytes = Sha256::digest(content).to_vec();
        bytes.extend_from_slice(content);
        self.write(name, &bytes)
    }

    pub(super) fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.path.join(name)) {
            tracing::warn!(name, %error, "cannot be removed from the cache");
        }
    }
}
