//! The network namespace that a hook is in: the loader's own, or another, whose file the client opened.
//!
//! The loader cannot enter another one. What has to be done there is a job of the one-shot helper, which gets the open file
//! beside it. The path is what the client called it: it is shown and never opened.

use crate::helpers::{Done, Helpers};
use crate::hooks;
use crate::kernel::{Error, namespaces};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// See the module.
#[derive(Debug)]
pub struct NetworkNamespace {
    path: String,
    id: u64,
    /// `None`: the loader's own.
    file: Option<OwnedFd>,
}

impl NetworkNamespace {
    /// The loader's own.
    pub fn own() -> Result<Self, Failure> {
        let own = namespaces::own().map_err(failed)?;
        Ok(Self {
            path: String::new(),
            id: own.inode,
            file: None,
        })
    }

    /// That of an open file. Files of other kinds are refused.
    pub fn of(file: BorrowedFd<'_>, path: &str) -> Result<Self, Failure> {
        if !namespaces::is_network(file).map_err(failed)? {
            let cause = format!("\"{path}\" is not a network namespace");
            return Err(
                Failure::new(FailureCode::InvalidArgument, Stage::Resolve, cause)
                    .remedy("give a file like /run/netns/NAME or /proc/PID/ns/net"),
            );
        }
        let found = namespaces::identity(file).map_err(failed)?;
        let is_own = found == namespaces::own().map_err(failed)?;
        let copy = || {
            file.try_clone_to_owned()
                .map_err(|error| failed(Error::from_io("dup", &error)))
        };
        Ok(Self {
            path: path.to_owned(),
            id: found.inode,
            file: if is_own { None } else { Some(copy()?) },
        })
    }

    /// What the client called it; empty when it did not.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Inode of its file, by which hooks are told apart. The kernel gives it to another when this one is gone.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its file; `None` for the loader's own, where no helper is needed.
    pub fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// Index of an interface in it.
    pub async fn find(&self, helpers: &dyn Helpers, interface: &str) -> Result<u32, Failure> {
        if interface.is_empty() {
            let cause = "interface name is empty";
            return Err(Failure::new(
                FailureCode::InvalidArgument,
                Stage::Request,
                cause,
            ));
        }
        let Some(beside) = self.beside(&[])? else {
            return hooks::interface::find(interface);
        };
        let job = HelperJob::FindInterface {
            name: interface.to_owned(),
        };
        let done = helpers.run(HelperKind::NetworkNamespace, job, beside);
        match done.await? {
            Done {
                result: HelperResult::Interface { ifindex },
                ..
            } => Ok(ifindex),
            other => Err(unfit(&other)),
        }
    }

    /// What goes to the helper beside a job: the file of the namespace, then copies of these. `None` for the loader's own.
    pub fn beside(&self, others: &[BorrowedFd<'_>]) -> Result<Option<Vec<OwnedFd>>, Failure> {
        let Some(file) = self.file() else {
            return Ok(None);
        };
        [file]
            .iter()
            .chain(others)
            .map(BorrowedFd::try_clone_to_owned)
            .collect::<Result<_, _>>()
            .map(Some)
            .map_err(|error| failed(Error::from_io("dup", &error)))
    }
}

/// The helper did something else than it was asked for.
pub fn unfit(done: &Done) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Attach,
        format!(
            "the helper for network namespaces answered {:?}",
            done.result
        ),
    )
    .remedy("this is a fault of bpfman, please report it")
}

fn failed(error: Error) -> Failure {
    error.into_failure(Stage::Resolve, "the network namespace")
}

/// Where in the network a hook is.
#[derive(Debug)]
pub struct NetworkPlace {
    /// The namespace.
    pub namespace: NetworkNamespace,
    /// Index of the interface; 0 for hooks of the namespace itself.
    pub ifindex: u32,
}

impl NetworkPlace {
    /// The interface of this name, or the namespace itself where there is none.
    pub async fn find(
        namespace: NetworkNamespace,
        interface: Option<&str>,
        helpers: &dyn Helpers,
    ) -> Result<Self, Failure> {
        let ifindex = match interface {
            Some(interface) => namespace.find(helpers, interface).await?,
            None => 0,
        };
        Ok(Self { namespace, ifindex })
    }

    /// An interface of the loader's own namespace.
    pub fn own(interface: &str) -> Result<Self, Failure> {
        Ok(Self {
            namespace: NetworkNamespace::own()?,
            ifindex: hooks::interface::find(interface)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn of(path: &str) -> Result<NetworkNamespace, Failure> {
        NetworkNamespace::of(File::open(path).unwrap().as_fd(), path)
    }

    #[test]
    fn the_own_namespace_is_known_by_whatever_path() {
        let own = of("/proc/self/ns/net").unwrap();
        assert!(own.file().is_none());
        assert_eq!(own.id(), NetworkNamespace::own().unwrap().id());
        assert_eq!(own.path(), "/proc/self/ns/net");
        assert!(own.beside(&[]).unwrap().is_none());
    }

    #[test]
    fn other_files_are_refused_by_name() {
        for path in ["/proc/self/ns/mnt", "/proc/self/status", "/", "/dev/null"] {
            let failure = of(path).unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidArgument, "{failure}");
            assert_eq!(
                failure.cause,
                format!("\"{path}\" is not a network namespace")
            );
            assert!(failure.remedy.contains("/run/netns/"), "{failure}");
        }
    }
}
