//! The way to the filters of a clsact hook.
//!
//! Filters are no links: nothing in bpffs leads back to one. They are seen and changed by netlink, in their own network
//! namespace. A netlink socket speaks about the namespace in which it was opened, whoever uses it; so for another namespace
//! than the loader's own the one-shot helper goes there and opens one, and the rest is the same code with another socket. The
//! socket is closed with the request: it would keep the namespace in existence.
//!
//! Where the client's descriptor is gone (detach, unload, doctor), the namespace is opened again by the path that the client
//! gave, and must be the very one by its inode. A namespace that is not there any more is gone, or has lost its name while
//! processes keep it. Which of the two it is, a [`witness`] of the interface tells. What has gone has taken the filter along;
//! what lives on under no name is an error: a filter of bpfman's is never forgotten where it runs.
//!
//! The path is opened as root, by the modes of files, since whoever detaches is not who attached. It is the client's choice, and
//! may lead elsewhere tomorrow. So a client that is not root must be able to open it itself before that, and is told of root's
//! attempt only that it came to nothing: what is at paths that it may not see is not for it. The log has the reason.

use crate::helpers::{Done, Helpers};
use crate::hooks::interface;
use crate::kernel::netlink::Socket;
use crate::kernel::witness::{self, Testimony};
use crate::kernel::{Error, interfaces};
use crate::layout::Layout;
use crate::limits::NAMESPACE_END;
use crate::network_namespace::{NetworkNamespace, unfit};
use crate::policy::Identity;
use bincode::{Decode, Encode};
use ipc::messages::chain::HookKey;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::process_root::is_network_namespace;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long to wait before a witness is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// Another network namespace than the loader's own, as far as it can be found again.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Elsewhere {
    /// What the client called it.
    pub path: String,
    /// Inode of its file.
    pub nsid: u64,
    /// Pin of the witness of the hook's interface.
    pub witness: PathBuf,
}

impl Elsewhere {
    /// Where a hook is, if it is on clsact in another namespace than the loader's own.
    pub fn of(layout: &Layout, key: HookKey, netns: &str) -> Result<Option<Self>, Failure> {
        let is_reached_by_name = super::direction(key.kind).is_some() && !netns.is_empty();
        if !is_reached_by_name || NetworkNamespace::own()?.id() == key.nsid {
            return Ok(None);
        }
        Ok(Some(Self {
            path: netns.to_owned(),
            nsid: key.nsid,
            witness: layout.hook_witness(key),
        }))
    }

    /// What the witness says.
    pub fn testimony(&self) -> Result<Testimony, Failure> {
        witness::ask(&self.witness)
            .map_err(|error| error.into_failure(Stage::Query, self.witness.display()))
    }

    /// Whether the interface ends soon: the kernel takes a namespace apart a little after its last name is gone.
    async fn ends(&self) -> Result<bool, Failure> {
        let deadline = Instant::now() + NAMESPACE_END;
        loop {
            match self.testimony()? {
                Testimony::Gone | Testimony::Nobody => return Ok(true),
                Testimony::Alive if Instant::now() >= deadline => return Ok(false),
                Testimony::Alive => sleep(PAUSE).await,
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub enum Way {
    /// In the loader's own network namespace; also of hooks that need no way, because a link is on them.
    Own,
    /// Through a socket of another one.
    There(Socket),
}

impl Way {
    /// The way to a hook that is on record. `None`: its interface is gone, and with it what was on it.
    pub async fn to(
        elsewhere: Option<&Elsewhere>,
        helpers: &dyn Helpers,
    ) -> Result<Option<Self>, Failure> {
        let Some(elsewhere) = elsewhere else {
            return Ok(Some(Self::Own));
        };
        if elsewhere.testimony()? == Testimony::Gone {
            return Ok(None);
        }
        match find(&elsewhere.path, elsewhere.nsid, root(), helpers).await {
            Ok(namespace) => Self::into(&namespace, helpers).await.map(Some),
            Err(Lost::Failed(failure)) => Err(failure),
            Err(Lost::Elsewhere(reason)) => match elsewhere.ends().await? {
                true => Ok(None),
                false => {
                    tracing::warn!(
                        path = elsewhere.path,
                        reason,
                        "a network namespace is not found"
                    );
                    Err(nameless(elsewhere))
                }
            },
        }
    }

    /// The way to a hook that is to be made. The path must lead there again, or nobody could take the filter off.
    pub async fn prepare(
        namespace: &NetworkNamespace,
        client: &Identity,
        helpers: &dyn Helpers,
    ) -> Result<Self, Failure> {
        if namespace.file().is_none() {
            return Ok(Self::Own);
        }
        let (path, id) = (namespace.path(), namespace.id());
        let lost = |lost, is_for_client: bool| match lost {
            Lost::Failed(failure) => failure,
            Lost::Elsewhere(reason) if is_for_client => unnamed(path, &reason),
            Lost::Elsewhere(reason) => {
                tracing::warn!(path, reason, "a network namespace is not found");
                unnamed(path, "by the modes of files, root cannot open it")
            }
        };
        let is_root = client.uid == 0;
        if !is_root {
            let theirs = find(path, id, client.clone(), helpers).await;
            theirs.map_err(|reason| lost(reason, true))?;
        }
        let again = find(path, id, root(), helpers).await;
        Self::into(&again.map_err(|reason| lost(reason, is_root))?, helpers).await
    }

    /// The way into a namespace that is open.
    pub async fn into(
        namespace: &NetworkNamespace,
        helpers: &dyn Helpers,
    ) -> Result<Self, Failure> {
        let Some(beside) = namespace.beside(&[])? else {
            return Ok(Self::Own);
        };
        let done = helpers.run(HelperKind::NetworkNamespace, HelperJob::OpenNetlink, beside);
        let done = done.await?;
        let answer = unfit(&done);
        let socket = done.into_descriptor().ok_or(answer)?;
        Ok(Self::There(Socket::from(socket)))
    }

    /// Does something with the socket.
    pub fn with<T>(&self, act: impl FnOnce(&Socket) -> Result<T, Error>) -> Result<T, Error> {
        match self {
            Self::Own => act(&Socket::open()?),
            Self::There(socket) => act(socket),
        }
    }

    /// The failure of an act at an interface that has vanished since it was found; `None` while it is there.
    pub fn vanished(&self, ifindex: u32, interface: &str) -> Option<Failure> {
        match self {
            Self::Own => interface::vanished(ifindex, interface),
            Self::There(socket) => matches!(interfaces::exists(socket, ifindex), Ok(false))
                .then(|| interface::taken_away(interface)),
        }
    }
}

/// Why a namespace was not found.
enum Lost {
    /// It is not at its path, for this reason.
    Elsewhere(String),
    /// It could not be looked for.
    Failed(Failure),
}

fn root() -> Identity {
    Identity {
        uid: 0,
        gid: 0,
        pid: 0,
        groups: Vec::new(),
    }
}

/// Opens a namespace by its path, with the rights that the modes of files give to somebody, and none of their capabilities; that
/// of a process as gRPC clients have it opened.
async fn find(
    path: &str,
    nsid: u64,
    opener: Identity,
    helpers: &dyn Helpers,
) -> Result<NetworkNamespace, Lost> {
    let job = HelperJob::OpenPath {
        path: path.to_owned(),
        uid: opener.uid,
        gid: opener.gid,
        groups: opener.groups,
        container_pid: None,
    };
    let kind = if is_network_namespace(path) {
        HelperKind::OpenInContainer
    } else {
        HelperKind::OpenPath
    };
    let done: Done = match helpers.run(kind, job, Vec::new()).await {
        Ok(done) => done,
        Err(failure) => {
            return Err(match failure.code {
                // Nothing of the path.
                FailureCode::Unavailable
                | FailureCode::DeadlineExceeded
                | FailureCode::ResourceExhausted => Lost::Failed(failure),
                _ => Lost::Elsewhere(failure.cause),
            });
        }
    };
    let answer = unfit(&done);
    let file = done.into_descriptor().ok_or(Lost::Failed(answer))?;
    let found = NetworkNamespace::of(file.as_fd(), path)
        .map_err(|failure| Lost::Elsewhere(failure.cause))?;
    if found.id() == nsid {
        return Ok(found);
    }
    let cause = format!("\"{path}\" is another network namespace, or another one for the service");
    Err(Lost::Elsewhere(cause))
}

fn unnamed(path: &str, reason: &str) -> Failure {
    let cause = format!(
        "the service cannot find network namespace \"{path}\" again, which it must to take a filter off clsact: {reason}"
    );
    Failure::new(FailureCode::FailedPrecondition, Stage::Resolve, cause).remedy(
        "give it a name (ip netns attach NAME PID), and attach with --netns /run/netns/NAME; or use tcx or xdp, which need no path",
    )
}

fn nameless(elsewhere: &Elsewhere) -> Failure {
    let Elsewhere { path, nsid, .. } = elsewhere;
    let cause = format!(
        "network namespace {nsid} lives on, with bpfman's filter in it, but is not found at {path} any more"
    );
    Failure::new(FailureCode::FailedPrecondition, Stage::Resolve, cause).remedy(format!(
        "give it that name again (for /run/netns/NAME: ip netns attach NAME PID, with a process that is in it), attach another \
         program there by another name, or end what is in it, and repeat; see lsns -t net for {nsid}"
    ))
}
