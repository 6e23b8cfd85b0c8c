//! The directory of keys and roots, which the image worker may read.

use crate::prepare::PrepareError;
use crate::prepare::workers::check_writers;
use configuration::Signing;

/// Refuses one that others than root may write to: they would decide who is trusted.
///
/// # Errors
///
/// [`PrepareError::Unfit`], [`PrepareError::Path`].
pub fn check(signing: &Signing) -> Result<(), PrepareError> {
    const STAGE: &str = "configuration";
    let Some(path) = signing.trust_dir() else {
        return Ok(());
    };
    let stat = rustix::fs::stat(path).map_err(PrepareError::path(
        STAGE,
        path,
        "correct signing.trust_dir",
    ))?;
    check_writers(STAGE, path, &stat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut signing = Signing::default();
        signing.settings.trust_dir = path.display().to_string();
        signing.trust_dir_named = true;
        for (mode, accepted) in [
            (0o755, true),
            (0o700, true),
            (0o775, false),
            (0o1777, false),
        ] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(check(&signing).is_ok(), accepted, "{mode:o}");
        }
    }
}
