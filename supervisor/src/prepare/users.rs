//! Who the processes are.
//!
//! Packages create the users bpfman, bpfman-loader, bpfman-image and bpfman-api and the group bpfman. Whoever is missing
//! is replaced by a numeric id that belongs to nobody, each process by its own. Root is no substitute, not even without
//! capabilities: most files of a machine are its own, and what their owner may do to their modes no Landlock rule governs.
//!
//! The files are read directly: name service modules would load foreign code into a process that is still root, and
//! service users are always local.

use crate::limits::FILE_BYTES;
use sandbox::Identity;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// First numeric id of the fallback: the range that systemd sets aside for services without a user of their own.
const FIRST_FALLBACK: u32 = 61184;
const LAST_FALLBACK: u32 = 65519;

/// The group whose members may use the socket.
const CLIENT_GROUP: &str = "bpfman";

/// Why users cannot be determined.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// /etc/passwd or /etc/group.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `--require-users`.
    #[error("{} missing and --require-users given; create {}, or leave the flag out", .0.join(", "), if .0.len() == 1 { "it" } else { "them" })]
    Missing(Vec<String>),
    /// A service user that is root or shared is no boundary.
    #[error("user {name} {problem}; every user of bpfman needs a user id of its own")]
    Unfit {
        /// Which.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Every number of the range is taken.
    #[error(
        "no unused user id between {FIRST_FALLBACK} and {LAST_FALLBACK}; create the users of bpfman"
    )]
    Exhausted,
}

/// Who is who.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Users {
    /// `bpfmand` after its start.
    pub supervisor: Identity,
    /// The loader.
    pub loader: Identity,
    /// The image worker.
    pub image: Identity,
    /// The API worker.
    pub api: Identity,
    /// Whose members may use the socket; only root when there is no such group.
    pub client_gid: Option<u32>,
    /// One sentence per fallback: to what, and why.
    pub fallbacks: Vec<String>,
}

impl Users {
    /// Looks the users up on this machine.
    pub fn look_up(required: bool) -> Result<Self, UsersError> {
        let passwd = read(Path::new("/etc/passwd"))?;
        let group = read(Path::new("/etc/group"))?;
        Self::from_files(&passwd, &group, required)
    }

    /// Decides from the text of the two files.
    pub fn from_files(passwd: &str, group: &str, required: bool) -> Result<Self, UsersError> {
        let accounts = accounts(passwd);
        let groups = groups(group);
        let mut fallbacks = Vec::new();
        let mut missing = Vec::new();
        let mut named = BTreeMap::new();
        for name in ["bpfman", "bpfman-loader", "bpfman-image", "bpfman-api"] {
            match accounts.iter().find(|account| account.name == name) {
                Some(account) => {
                    check(account, &accounts)?;
                    named.insert(
                        name,
                        Identity {
                            uid: account.uid,
                            gid: account.gid,
                            groups: Vec::new(),
                        },
                    );
                }
                None => missing.push(format!("user {name}")),
            }
        }
        let client_gid = groups
            .iter()
            .find(|(name, _)| *name == CLIENT_GROUP)
            .map(|(_, gid)| *gid);
        if client_gid.is_none() {
            missing.push(format!("group {CLIENT_GROUP}"));
            fallbacks.push(format!(
                "there is no group {CLIENT_GROUP}: only root may use the socket"
            ));
        }
        if required && !missing.is_empty() {
            return Err(UsersError::Missing(missing));
        }

        let mut free = (FIRST_FALLBACK..=LAST_FALLBACK).filter(|id| {
            accounts
                .iter()
                .all(|account| account.uid != *id && account.gid != *id)
                && groups.iter().all(|(_, gid)| gid != id)
        });
        let mut unnamed = |name: &'static str, process: &str| match named.remove(name) {
            Some(identity) => Ok(identity),
            None => {
                let id = free.next().ok_or(UsersError::Exhausted)?;
                fallbacks.push(format!("there is no user {name}: the {process} runs as uid {id}, which belongs to nobody"));
                Ok(Identity {
                    uid: id,
                    gid: id,
                    groups: Vec::new(),
                })
            }
        };
        let supervisor = unnamed("bpfman", "supervisor")?;
        let image = unnamed("bpfman-image", "image worker")?;
        let api = unnamed("bpfman-api", "API worker")?;
        let loader = unnamed("bpfman-loader", "loader")?;
        Ok(Self {
            supervisor,
            loader,
            image,
            api,
            client_gid,
            fallbacks,
        })
    }
}

fn check(account: &Account<'_>, accounts: &[Account<'_>]) -> Result<(), UsersError> {
    let unfit = |problem: String| {
        Err(UsersError::Unfit {
            name: account.name.to_owned(),
            problem,
        })
    };
    if account.uid == 0 {
        return unfit("is root".to_owned());
    }
    if account.gid == 0 {
        return unfit("has root's group as its own".to_owned());
    }
    match accounts
        .iter()
        .find(|other| other.uid == account.uid && other.name != account.name)
    {
        Some(other) => unfit(format!("has the same user id as {}", other.name)),
        None => Ok(()),
    }
}

#[derive(Debug, Eq, PartialEq)]
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

/// passwd(5). Lines that are none are left out, as the C library does.
fn accounts(passwd: &str) -> Vec<Account<'_>> {
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _password, uid, gid) = (
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            );
            Some(Account {
                name,
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
            })
        })
        .collect()
}

/// group(5).
fn groups(group: &str) -> Vec<(&str, u32)> {
    group
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _password, gid) = (fields.next()?, fields.next()?, fields.next()?);
            Some((name, gid.parse().ok()?))
        })
        .collect()
}

fn read(path: &Path) -> Result<String, UsersError> {
    let unreadable = |source| UsersError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(unreadable(io::Error::other(format!(
            "larger than {FILE_BYTES} bytes"
        ))));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_one_byte_past_the_limit_is_no_list_of_users() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwd");
        std::fs::write(&path, "x".repeat(FILE_BYTES as usize)).unwrap();
        assert!(read(&path).is_ok());
        std::fs::write(&path, "x".repeat(FILE_BYTES as usize + 1)).unwrap();
        let refused = read(&path).unwrap_err();
        assert!(matches!(refused, UsersError::Unreadable { .. }));
        assert!(refused.to_string().contains("larger than"), "{refused}");
    }

    const BARE: &str = "root:x:0:0:root:/root:/bin/bash\n";
    const FULL: &str = "root:x:0:0::/root:/bin/sh\nbpfman:x:901:901::/:/usr/sbin/nologin\nbpfman-loader:x:902:902::/:\n\
                        bpfman-image:x:903:903::/:\nbpfman-api:x:904:904::/:\n";
    const GROUP: &str = "root:x:0:\nbpfman:x:901:alice,bob\n";

    fn id(id: u32) -> Identity {
        Identity {
            uid: id,
            gid: id,
            groups: vec![],
        }
    }

    #[test]
    fn named_users_are_taken_and_nothing_falls_back() {
        let users = Users::from_files(FULL, GROUP, true).unwrap();
        assert_eq!(
            users,
            Users {
                supervisor: id(901),
                loader: id(902),
                image: id(903),
                api: id(904),
                client_gid: Some(901),
                fallbacks: vec![]
            }
        );
    }

    #[test]
    fn without_users_four_unnamed_ids() {
        let users = Users::from_files(BARE, "root:x:0:\n", false).unwrap();
        assert_eq!(
            (users.supervisor, users.image, users.api, users.loader),
            (id(61184), id(61185), id(61186), id(61187))
        );
        assert_eq!(users.client_gid, None);
        assert_eq!(users.fallbacks.len(), 5, "one sentence each");
    }

    #[test]
    fn ids_that_belong_to_somebody_are_passed_over() {
        let passwd = format!("{BARE}eve:x:61184:100::/:\n");
        let users = Users::from_files(&passwd, "root:x:0:\nstaff:x:61185:\n", false).unwrap();
        assert_eq!(
            (
                users.supervisor.uid,
                users.image.uid,
                users.api.uid,
                users.loader.uid
            ),
            (61186, 61187, 61188, 61189)
        );
    }

    #[test]
    fn required_users_that_are_missing_are_all_named() {
        let error = Users::from_files(BARE, "", true).unwrap_err().to_string();
        for name in [
            "user bpfman,",
            "bpfman-loader",
            "bpfman-image",
            "bpfman-api",
            "group bpfman",
        ] {
            assert!(error.contains(name), "{error}");
        }
        assert!(Users::from_files(FULL, "", true).is_err());
    }

    #[test]
    fn a_service_user_that_is_root_or_shared_is_refused() {
        for line in [
            "bpfman-api:x:0:5::/:",
            "bpfman-api:x:5:0::/:",
            "bpfman-api:x:7:7::/:\nother:x:7:7::/:",
        ] {
            assert!(
                matches!(
                    Users::from_files(line, "", false),
                    Err(UsersError::Unfit { .. })
                ),
                "{line}"
            );
        }
    }

    #[test]
    fn lines_that_are_none_are_left_out() {
        assert_eq!(
            accounts("# comment\n\n:::\nx:y\na:x:-1:0::\nb:x:1:2\n"),
            [Account {
                name: "b",
                uid: 1,
                gid: 2
            }]
        );
        assert_eq!(groups("a:x:1\nb:x:x:\n"), [("a", 1)]);
    }

    proptest! {
        #[test]
        fn whatever_the_files_say_ids_differ_and_none_is_root(passwd in "[a-z:0-9\n]{0,200}", group in "[a-z:0-9\n]{0,80}") {
            if let Ok(users) = Users::from_files(&passwd, &group, false) {
                let ids = [users.supervisor.uid, users.loader.uid, users.image.uid, users.api.uid];
                for (position, id) in ids.iter().enumerate() {
                    prop_assert!(!ids[..position].contains(id));
                }
                prop_assert!(!ids.contains(&0));
            }
        }
    }
}
