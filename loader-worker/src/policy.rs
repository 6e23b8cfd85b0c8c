//! Who may do what. Pure: an identity that the kernel vouched for, an action, a verdict.
//!
//! For now everything is allowed to uid 0 and to the members of the client group, and nothing to anybody else; the
//! group's members could open the socket anyway, but the socket's mode is not what the decision rests on. Every request
//! names its action, so that rules per action have their place here. Only `status` does not come here: it must be answered
//! while the loader is down, so the socket's mode alone is what it rests on.

use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::loader::Errand;

/// Who asks, as the kernel says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Process at the time of connecting; 0 if it is in another container, whose processes have no number here.
    pub pid: i32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Identity {
    fn is_member(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Load programs.
    Load,
    /// Unload a program.
    Unload,
    /// Attach a program.
    Attach,
    /// Detach a link.
    Detach,
    /// Look at programs and links.
    Read,
    /// Have a path opened with the caller's own rights.
    Open,
    /// Make volumes of pods, and take them away.
    Volumes,
    /// Have images fetched, or taken out of the cache.
    Images,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 8] = [
        Action::Load,
        Action::Unload,
        Action::Attach,
        Action::Detach,
        Action::Read,
        Action::Open,
        Action::Volumes,
        Action::Images,
    ];

    /// What the image worker is sent for.
    pub fn of(errand: Errand) -> Self {
        match errand {
            Errand::Images => Action::Images,
            Errand::ShowImages => Action::Read,
            Errand::Load => Action::Load,
            Errand::Attach => Action::Attach,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Action::Load => "load programs",
            Action::Unload => "unload programs",
            Action::Attach => "attach programs",
            Action::Detach => "detach links",
            Action::Read => "see programs, links and images",
            Action::Open => "have files opened",
            Action::Volumes => "have volumes mounted",
            Action::Images => "have images fetched or removed",
        }
    }
}

/// The rules in force.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    /// The group whose members may use bpfman; without one only root may.
    pub client_gid: Option<u32>,
}

impl Policy {
    /// May this caller do that?
    pub fn decide(&self, caller: &Identity, action: Action) -> Result<(), Failure> {
        // Mounts are seen by everybody: the kubelet is root, and members of the group are not.
        let group = self.client_gid.filter(|_| action != Action::Volumes);
        if caller.uid == 0 || group.is_some_and(|gid| caller.is_member(gid)) {
            return Ok(());
        }
        let remedy = match group {
            None if action == Action::Volumes => "run it as root, as the kubelet is".to_owned(),
            Some(gid) => format!("run it as root or as a member of group bpfman (gid {gid})"),
            None => "run it as root: there is no group bpfman on this system".to_owned(),
        };
        Err(Failure::new(
            FailureCode::PermissionDenied,
            Stage::Policy,
            format!("uid {} may not {}", caller.uid, action.describe()),
        )
        .remedy(remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn caller(uid: u32, gid: u32, groups: Vec<u32>) -> Identity {
        Identity {
            uid,
            gid,
            pid: 1,
            groups,
        }
    }

    #[test]
    fn root_and_members_may_others_may_not() {
        let policy = Policy {
            client_gid: Some(990),
        };
        let is_for_members = |action: &Action| *action != Action::Volumes;
        for action in Action::ALL.into_iter().filter(is_for_members) {
            assert!(policy.decide(&caller(0, 0, vec![]), action).is_ok());
            assert!(policy.decide(&caller(1000, 990, vec![]), action).is_ok());
            assert!(
                policy
                    .decide(&caller(1000, 1000, vec![4, 990]), action)
                    .is_ok()
            );
            let failure = policy
                .decide(&caller(1000, 1000, vec![4]), action)
                .unwrap_err();
            assert_eq!(failure.code, FailureCode::PermissionDenied);
            assert!(failure.remedy.contains("990"));
        }
    }

    #[test]
    fn volumes_are_for_root_alone() {
        let policy = Policy {
            client_gid: Some(990),
        };
        assert!(
            policy
                .decide(&caller(0, 0, vec![]), Action::Volumes)
                .is_ok()
        );
        let member = caller(1000, 990, vec![990]);
        let failure = policy.decide(&member, Action::Volumes).unwrap_err();
        assert_eq!(failure.code, FailureCode::PermissionDenied);
        assert!(failure.remedy.contains("root"), "{failure}");
    }

    proptest! {
        #[test]
        fn without_a_group_only_root_may(uid in 1u32.., gid: u32, groups: Vec<u32>) {
            let policy = Policy { client_gid: None };
            for action in Action::ALL {
                prop_assert!(policy.decide(&caller(uid, gid, groups.clone()), action).is_err());
            }
        }

        #[test]
        fn membership_alone_decides_for_others(uid in 1u32.., gid: u32, groups: Vec<u32>, client: u32) {
            let policy = Policy { client_gid: Some(client) };
            let member = gid == client || groups.contains(&client);
            let verdict = policy.decide(&caller(uid, gid, groups), Action::Load).is_ok();
            prop_assert_eq!(verdict, member);
        }
    }
}
