//! Paths of clients that cannot pass a descriptor: opened by a one-shot helper with the identity that the kernel gives for
//! the client's own socket. The loader passes the descriptor on and does not read from it.

use super::State;
use super::refusals::no_descriptor;
use crate::policy::{Action, Identity};
use crate::reply::Reply;
use ipc::limits::PATH_BYTES;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::loader::{LoaderReply, Session};
use ipc::process_root::is_network_namespace;
use std::os::fd::AsFd;
use std::sync::Arc;

impl State {
    /// Admits the request, then answers it beside the engine's work, which it has no part in.
    pub(super) async fn open_path(
        &self,
        session: Session,
        path: String,
        container_pid: Option<i32>,
        reply: Reply,
    ) {
        let kind = match container_pid {
            None if !is_network_namespace(&path) => HelperKind::OpenPath,
            _ => HelperKind::OpenInContainer,
        };
        let job = check(&path)
            .and_then(|()| check_process(container_pid))
            .and_then(|()| self.admit(session, Action::Open))
            .map(|caller| job(caller, path, container_pid));
        let job = match job {
            Ok(job) => job,
            Err(failure) => return reply.fail(failure).await,
        };
        let helpers = Arc::clone(&self.arguments.helpers);
        tokio::spawn(async move {
            let done = helpers.run(kind, job, Vec::new()).await;
            let opened = done.and_then(|done| done.into_descriptor().ok_or_else(no_descriptor));
            match opened {
                Ok(file) => {
                    let beside = Some(file.as_fd());
                    reply.send_beside(Ok(LoaderReply::PathOpened), beside).await;
                }
                Err(failure) => reply.fail(failure).await,
            }
        });
    }
}

fn job(caller: Identity, path: String, container_pid: Option<i32>) -> HelperJob {
    HelperJob::OpenPath {
        path,
        container_pid,
        uid: caller.uid,
        gid: caller.gid,
        groups: caller.groups,
    }
}

fn check(path: &str) -> Result<(), Failure> {
    let cause = if path.contains('\0') {
        "the path contains a NUL".to_owned()
    } else if path.len() > PATH_BYTES {
        format!("{} bytes of a path, {PATH_BYTES} allowed", path.len())
    } else if !path.starts_with('/') {
        format!("\"{path}\" is no absolute path")
    } else {
        return Ok(());
    };
    let failure = Failure::new(FailureCode::InvalidArgument, Stage::Request, cause);
    Err(failure.remedy("give the absolute path of a file on the host of the service"))
}

fn check_process(pid: Option<i32>) -> Result<(), Failure> {
    match pid {
        Some(pid) if pid <= 0 => Err(Failure::new(
            FailureCode::InvalidArgument,
            Stage::Request,
            format!("{pid} is no process"),
        )
        .remedy("give the process id of a running process")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_have_positive_numbers() {
        assert!(check_process(None).is_ok());
        assert!(check_process(Some(1)).is_ok());
        for pid in [0, -1] {
            assert!(check_process(Some(pid)).is_err());
        }
    }

    #[test]
    fn paths_are_absolute_and_bounded() {
        let longest = format!("/{}", "x".repeat(PATH_BYTES - 1));
        assert!(check(&longest).is_ok());
        for path in [
            format!("{longest}x"),
            "a.o".into(),
            String::new(),
            "/a\0b".into(),
        ] {
            let failure = check(&path).unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidArgument, "{path}");
        }
    }

    #[test]
    fn the_identity_is_that_of_the_socket() {
        let caller = Identity {
            uid: 1000,
            gid: 100,
            pid: 7,
            groups: vec![4, 5],
        };
        assert_eq!(
            job(caller, "/a".to_owned(), Some(9)),
            HelperJob::OpenPath {
                path: "/a".to_owned(),
                container_pid: Some(9),
                uid: 1000,
                gid: 100,
                groups: vec![4, 5],
            }
        );
    }
}
