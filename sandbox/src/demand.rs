//! Whether a process gave up what its profile says. Pure: the supervisor calls it before it activates a worker.

use crate::steps::landlock;
use crate::{Identity, Landlock, Mode, Profile, WorkerArguments, profiles};
use caps::Capability;
use ipc::messages::supervision::SandboxReport;

/// What a report must say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expectation {
    /// Process id, where the one who asks knows it from elsewhere.
    pub pid: Option<u32>,
    /// User and groups.
    pub identity: Identity,
    /// Permitted and effective set, bit by bit.
    pub capabilities: u64,
    /// Open descriptors, ascending.
    pub descriptors: Vec<i32>,
    /// Whether Landlock confines it.
    pub landlock: Landlock,
    /// Whether violations are only logged.
    pub mode: Mode,
}

impl Expectation {
    /// What the profile promises.
    pub fn of(profile: &Profile, mode: Mode) -> Self {
        let mut descriptors = profile.descriptors.clone();
        descriptors.sort_unstable();
        descriptors.dedup();
        Self {
            pid: None,
            identity: profile.identity.clone(),
            capabilities: profile
                .capabilities
                .iter()
                .map(Capability::bitmask)
                .fold(0, |all, bit| all | bit),
            descriptors,
            landlock: profile.landlock,
            mode,
        }
    }

    /// What a worker that was started with these arguments, as this process, must report.
    pub fn of_worker(arguments: &WorkerArguments, pid: u32) -> Self {
        let profile = profiles::profile(arguments, crate::seccomp::Policy::default());
        Self {
            pid: Some(pid),
            ..Self::of(&profile, arguments.mode)
        }
    }
}

/// Every way in which the report is not what is expected; a worker with one of them is not activated.
pub fn demand(report: &SandboxReport, expected: &Expectation) -> Result<(), Vec<String>> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };

    if let Some(pid) = expected.pid {
        check(
            report.pid == pid,
            format!("process is {}, not {pid}", report.pid),
        );
    }
    let Identity { uid, gid, groups } = &expected.identity;
    check(
        report.uids == [*uid; 3],
        format!("user ids are {:?}, not {uid}", report.uids),
    );
    check(
        report.gids == [*gid; 3],
        format!("group ids are {:?}, not {gid}", report.gids),
    );
    check(
        sorted(&report.groups) == sorted(groups),
        format!("groups are {:?}, not {groups:?}", report.groups),
    );

    let wanted = expected.capabilities;
    for (name, found, wanted) in [
        ("permitted", report.cap_permitted, wanted),
        ("effective", report.cap_effective, wanted),
        ("inheritable", report.cap_inheritable, 0),
        ("bounding", report.cap_bounding, 0),
        ("ambient", report.cap_ambient, 0),
    ] {
        check(
            found == wanted,
            format!("{name} capabilities are {found:#x}, not {wanted:#x}"),
        );
    }

    check(report.no_new_privs, "no_new_privs is not set".into());
    check(
        report.seccomp_mode == 2,
        format!("seccomp mode is {}, not 2", report.seccomp_mode),
    );
    check(
        report.seccomp_filters >= 1,
        "no seccomp filter is installed".into(),
    );

    match expected.landlock {
        Landlock::AtLeast(minimum) => confined(report, minimum, &mut check),
        Landlock::Without => check(
            report.landlock_enforced == 0,
            "Landlock is enforced, and forbids what the process is for".into(),
        ),
    }

    check(
        !report.dumpable,
        "the process can be traced by its user".into(),
    );
    check(
        report.threads == 1,
        format!("{} threads exist, not 1", report.threads),
    );
    check(
        report.descriptors == expected.descriptors,
        format!(
            "open descriptors are {:?}, not {:?}",
            report.descriptors, expected.descriptors
        ),
    );
    let learning = expected.mode == Mode::Log;
    check(
        report.learning == learning,
        format!(
            "sandbox mode is {}, not {}",
            name(report.learning),
            name(learning)
        ),
    );

    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn confined(report: &SandboxReport, minimum: u8, check: &mut impl FnMut(bool, String)) {
    check(
        report.landlock_enforced >= minimum,
        format!(
            "Landlock enforces ABI {}, at least {minimum} is demanded",
            report.landlock_enforced
        ),
    );
    // What the kernel has is required, even above the minimum.
    let available = report.landlock_abi.min(landlock::NEWEST);
    check(
        report.landlock_enforced == available,
        format!(
            "Landlock enforces ABI {} of {available} available",
            report.landlock_enforced
        ),
    );
    check(
        report.landlock_full || report.landlock_abi < landlock::NEWEST,
        "Landlock enforces only a part, though the kernel knows all".into(),
    );
}

fn name(learning: bool) -> &'static str {
    if learning {
        Mode::Log.name()
    } else {
        Mode::Enforce.name()
    }
}

fn sorted(groups: &[u32]) -> Vec<u32> {
    let mut groups = groups.to_vec();
    groups.sort_unstable();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expectation {
        Expectation {
            pid: Some(5),
            identity: Identity {
                uid: 100,
                gid: 200,
                groups: vec![300, 200],
            },
            capabilities: Capability::CAP_BPF.bitmask(),
            descriptors: vec![0, 1, 2, 3],
            landlock: Landlock::AtLeast(2),
            mode: Mode::Enforce,
        }
    }

    fn faithful() -> SandboxReport {
        SandboxReport {
            pid: 5,
            uids: [100; 3],
            gids: [200; 3],
            groups: vec![200, 300],
            cap_permitted: 1 << 39,
            cap_effective: 1 << 39,
            no_new_privs: true,
            seccomp_mode: 2,
            seccomp_filters: 2,
            landlock_abi: 7,
            landlock_enforced: 6,
            landlock_full: true,
            threads: 1,
            descriptors: vec![0, 1, 2, 3],
            ..SandboxReport::default()
        }
    }

    #[test]
    fn a_faithful_report_is_accepted() {
        assert_eq!(demand(&faithful(), &expected()), Ok(()));
    }

    #[test]
    fn an_older_kernel_is_accepted_down_to_the_minimum() {
        let old = |abi| SandboxReport {
            landlock_abi: abi,
            landlock_enforced: abi,
            landlock_full: false,
            ..faithful()
        };
        assert_eq!(demand(&old(2), &expected()), Ok(()));
        assert!(demand(&old(1), &expected()).is_err());
        assert!(demand(&old(0), &expected()).is_err());
    }

    #[test]
    fn a_process_that_landlock_would_hinder_is_without() {
        let expected = Expectation {
            landlock: Landlock::Without,
            ..expected()
        };
        let without = SandboxReport {
            landlock_abi: 0,
            landlock_enforced: 0,
            landlock_full: false,
            ..faithful()
        };
        assert_eq!(demand(&without, &expected), Ok(()));
        assert_eq!(demand(&faithful(), &expected).unwrap_err().len(), 1);
    }

    #[test]
    fn every_single_deviation_is_a_fault() {
        type Deviation = (&'static str, fn(&mut SandboxReport));
        let deviations: [Deviation; 23] = [
            ("process", |r| r.pid = 6),
            ("user", |r| r.uids[2] = 0),
            ("user", |r| r.uids[0] = 0),
            ("group ids", |r| r.gids[1] = 0),
            ("groups", |r| r.groups.push(0)),
            ("groups", |r| r.groups.truncate(1)),
            ("permitted", |r| r.cap_permitted |= 1 << 21),
            ("permitted", |r| r.cap_permitted = 0),
            ("effective", |r| r.cap_effective = 0),
            ("effective", |r| r.cap_effective |= 1 << 63),
            ("inheritable", |r| r.cap_inheritable = 1),
            ("bounding", |r| r.cap_bounding = 1 << 39),
            ("ambient", |r| r.cap_ambient = 1 << 39),
            ("no_new_privs", |r| r.no_new_privs = false),
            ("seccomp mode", |r| r.seccomp_mode = 1),
            ("seccomp filter", |r| r.seccomp_filters = 0),
            ("Landlock", |r| r.landlock_enforced = 5),
            ("Landlock", |r| r.landlock_full = false),
            ("traced", |r| r.dumpable = true),
            ("threads", |r| r.threads = 2),
            ("descriptors", |r| r.descriptors.push(9)),
            ("descriptors", |r| r.descriptors.truncate(3)),
            ("mode is log", |r| r.learning = true),
        ];
        for (word, deviate) in deviations {
            let mut report = faithful();
            deviate(&mut report);
            let faults = demand(&report, &expected()).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].contains(word), "{faults:?}");
        }
    }

    #[test]
    fn a_worker_that_should_learn_must_say_so() {
        let expected = Expectation {
            mode: Mode::Log,
            ..expected()
        };
        assert!(demand(&faithful(), &expected).is_err());
        assert_eq!(
            demand(
                &SandboxReport {
                    learning: true,
                    ..faithful()
                },
                &expected
            ),
            Ok(())
        );
    }
}
