//! sk_lookup: a program that chooses the socket for a packet without a connection, in a network namespace. The kernel runs
//! those of one namespace in the order in which they were attached.
//!
//! The kernel takes the namespace as a descriptor, so nobody has to enter it.

use super::{AttachRequest, Attached, Hook, Kind, Network, Prepared, attached, interface, refused};
use crate::helpers::Done;
use crate::kernel::{Error, link};
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::{Failure, Stage};
use ipc::messages::program::ProgramKind;
use std::fs::File;
use std::os::fd::AsFd;

const OWN_NAMESPACE: &str = "/proc/self/ns/net";

/// See the module.
pub struct SkLookup;

impl Kind for SkLookup {
    fn network<'a>(&self, _: &'a AttachSpec) -> Network<'a> {
        Network::Namespace
    }

    fn prepare(&self, _: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        Ok(Prepared::Ready(Hook::Fixed))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<Done>,
    ) -> Result<Attached, Failure> {
        let namespace = &interface::place(request)?.namespace;
        let own = match namespace.file() {
            Some(_) => None,
            None => Some(File::open(OWN_NAMESPACE).map_err(|error| {
                Error::from_io("open /proc/self/ns/net", &error)
                    .into_failure(Stage::Attach, "the network namespace")
            })?),
        };
        let file = namespace.file().or(own.as_ref().map(AsFd::as_fd));
        let file = file.ok_or_else(|| super::mismatched(request.spec))?;
        let link = link::create_sk_lookup(request.program, file)
            .map_err(|error| refused(error, request, "the look-up of sockets"))?;
        let details = LinkDetails::SkLookup {
            netns: namespace.path().to_owned(),
            nsid: namespace.id(),
        };
        attached(link, ProgramKind::SkLookup, details)
    }
}
