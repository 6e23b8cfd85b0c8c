//! sk_lookup: a program that chooses the socket for a packet without a connection, in bpfman's network namespace. The
//! kernel runs those of one namespace in the order in which they were attached.

use super::{AttachRequest, Attached, Hook, Kind, Prepared, attached, refused};
use crate::kernel::{Error, interfaces, link};
use ipc::messages::attach::LinkDetails;
use ipc::messages::failure::{Failure, Stage};
use ipc::messages::program::ProgramKind;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

const NAMESPACE: &str = "/proc/self/ns/net";

/// See the module.
pub struct SkLookup;

impl Kind for SkLookup {
    fn kinds(&self) -> &'static [ProgramKind] {
        &[ProgramKind::SkLookup]
    }

    fn prepare(&self, _: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        Ok(Prepared::Ready(Hook::Fixed))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<OwnedFd>,
    ) -> Result<Attached, Failure> {
        let failed = |error: Error| error.into_failure(Stage::Attach, "the network namespace");
        let namespace = File::open(NAMESPACE)
            .map_err(|error| failed(Error::from_io("open /proc/self/ns/net", &error)))?;
        let nsid = interfaces::own_namespace().map_err(failed)?;
        let link = link::create_sk_lookup(request.program, namespace.as_fd())
            .map_err(|error| refused(error, request, "the look-up of sockets"))?;
        let details = LinkDetails::SkLookup {
            netns: String::new(),
            nsid,
        };
        attached(link, ProgramKind::SkLookup, details)
    }
}
