//! Lowers resource limits. A hard limit that is already lower stays: raising would need CAP_SYS_RESOURCE.

use crate::{EnterError, ResourceLimits};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lowers soft and hard limits alike, so that they cannot be raised again.
pub(crate) fn lower(limits: &ResourceLimits) -> Result<(), EnterError> {
    // A core file would carry what the sandbox keeps apart to the disk.
    apply(Resource::Core, 0)?;
    apply(Resource::Nofile, limits.open_files)?;
    for (resource, limit) in [
        (Resource::As, limits.address_space),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Nproc, limits.processes),
    ] {
        if let Some(limit) = limit {
            apply(resource, limit)?;
        }
    }
    Ok(())
}

fn apply(resource: Resource, limit: u64) -> Result<(), EnterError> {
    let lowered = lowered(getrlimit(resource), limit);
    setrlimit(resource, lowered).map_err(EnterError::refused(
        "limits",
        format!("lower {resource:?} to {limit}"),
        "report this: lowering a limit needs no privilege",
    ))
}

/// `None` is "no limit" in `Rlimit`.
fn lowered(present: Rlimit, limit: u64) -> Rlimit {
    let maximum = present.maximum.map_or(limit, |maximum| maximum.min(limit));
    // The soft limit of open files is often 1024 below a higher hard one: bpfman's own bound is the one that counts, as far
    // as the hard one lets it.
    Rlimit {
        current: Some(maximum),
        maximum: Some(maximum),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(current: Option<u64>, maximum: Option<u64>) -> Rlimit {
        Rlimit { current, maximum }
    }

    #[test]
    fn a_higher_limit_is_lowered_and_a_lower_hard_one_stays() {
        assert_eq!(lowered(limit(None, None), 10), limit(Some(10), Some(10)));
        assert_eq!(
            lowered(limit(Some(5), Some(20)), 10),
            limit(Some(10), Some(10))
        );
        assert_eq!(
            lowered(limit(Some(5), Some(8)), 10),
            limit(Some(8), Some(8))
        );
        assert_eq!(lowered(limit(Some(4), None), 0), limit(Some(0), Some(0)));
    }
}
