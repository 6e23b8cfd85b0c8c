//! Plans beside the store: content-addressed files, written once, so that programs can be brought back without the
//! image worker or the network.

use crate::layout;
use crate::plan_intake;
use crate::valid_plan::ValidPlan;
use ipc::limits::PLAN_BYTES;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes a plan so that its name never stands for half of it: a temporary file, synced, then renamed. A plan that is
/// there already has the same contents, since it has the same digest.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let temporary = path.with_extension("tmp");
    let written = create(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        })
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        // It may not be there; if it cannot be removed, the next start does it.
        let _ = fs::remove_file(&temporary);
        Failure::new(
            FailureCode::Internal,
            Stage::Store,
            format!(
                "the load plan cannot be kept in {}: {error}",
                path.display()
            ),
        )
        .remedy("see that the disk is neither full nor failing")
    })
}

/// Reads a plan that was written here, and checks it like one that comes from the image worker: a file may have been
/// damaged.
pub fn read(path: &Path) -> Result<ValidPlan, Failure> {
    let unreadable = |reason: String| {
        Failure::new(
            FailureCode::FailedPrecondition,
            Stage::Store,
            format!("the load plan {} cannot be used: {reason}", path.display()),
        )
        .remedy("unload the programs that were loaded with it and load them again")
    };
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(PLAN_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() > PLAN_BYTES {
        return Err(unreadable(format!("it has more than {PLAN_BYTES} bytes")));
    }
    let digest = plan_intake::digest(&bytes);
    if path.file_name() != Some(OsStr::new(&layout::plan_name(&digest))) {
        return Err(unreadable(
            "its contents are not those that were written".into(),
        ));
    }
    plan_intake::decode(bytes, digest)
        .and_then(ValidPlan::try_from)
        .map_err(|failure| unreadable(failure.cause))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// Removes files of the plan directory that are not in `used`: what a process that was killed while writing left.
pub fn sweep(directory: &Path, used: &BTreeSet<PathBuf>) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(directory)?.take(crate::limits::PINS) {
        let path = entry?.path();
        if !used.contains(&path) {
            fs::remove_file(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_whole_or_not_there_and_leftovers_are_swept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("aa.plan");
        write(&path, b"plan").unwrap();
        write(&path, b"plan").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"plan");
        fs::write(directory.path().join("bb.tmp"), b"half").unwrap();
        fs::write(directory.path().join("cc.plan"), b"nobody's").unwrap();
        assert_eq!(
            sweep(directory.path(), &BTreeSet::from([path.clone()])).unwrap(),
            2
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

        let failure = write(&directory.path().join("no/such/dir.plan"), b"plan").unwrap_err();
        assert_eq!(failure.stage, Stage::Store);
    }
}
