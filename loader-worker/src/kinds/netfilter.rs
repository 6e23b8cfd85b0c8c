//! netfilter: a program at a hook of the packets' way through a network namespace, among rules and other programs, in the
//! order of priorities. The kernel keeps that order, and gives one priority to one program.
//!
//! The link holds its network namespace, so the hook is there as long as the link is.

use super::{
    AttachRequest, Attached, Hook, Kind, Network, Prepared, attached, interface, invalid,
    mismatched,
};
use crate::helpers::Done;
use crate::hooks;
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::{Failure, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::netfilter::NetfilterPlace;
use ipc::messages::program::ProgramKind;

/// See the module.
pub struct Netfilter;

impl Kind for Netfilter {
    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        match place(spec)?.out_of_range() {
            Some(cause) => Err(invalid(Stage::Request, cause)),
            None => Ok(()),
        }
    }

    fn network<'a>(&self, _: &'a AttachSpec) -> Network<'a> {
        Network::Namespace
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let job = HelperJob::CreateNetfilterLink {
            place: *place(request.spec)?,
            program_id: request.record.program_id,
        };
        let namespace = &interface::place(request)?.namespace;
        Ok(match namespace.beside(&[request.program])? {
            None => Prepared::Ready(Hook::Fixed),
            Some(descriptors) => Prepared::NeedsHelper {
                kind: HelperKind::NetworkNamespace,
                job,
                descriptors,
                hook: Hook::Fixed,
            },
        })
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        helper: Option<Done>,
    ) -> Result<Attached, Failure> {
        let place = place(request.spec)?;
        let namespace = &interface::place(request)?.namespace;
        let link = match helper {
            Some(done) => done.into_descriptor(),
            None if namespace.file().is_none() => {
                let id = request.record.program_id;
                Some(hooks::netfilter::create(request.program, place, id)?)
            }
            None => None,
        };
        attached(
            link.ok_or_else(|| mismatched(request.spec))?,
            ProgramKind::Netfilter,
            LinkDetails::Netfilter {
                place: *place,
                netns: namespace.path().to_owned(),
                nsid: namespace.id(),
            },
        )
    }
}

fn place(spec: &AttachSpec) -> Result<&NetfilterPlace, Failure> {
    match spec {
        AttachSpec::Netfilter(place) => Ok(place),
        _ => Err(mismatched(spec)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::netfilter::{NetfilterFamily, NetfilterHook};

    #[test]
    fn priorities_are_bounded() {
        let bounds = |priority| {
            Netfilter.bounds(&AttachSpec::Netfilter(NetfilterPlace {
                family: NetfilterFamily::Ipv4,
                hook: NetfilterHook::Forward,
                priority,
                defragment: false,
            }))
        };
        assert_eq!(bounds(i32::MIN + 1), Ok(()));
        assert_eq!(bounds(i32::MAX - 1), Ok(()));
        assert!(bounds(i32::MIN).is_err());
        assert!(bounds(i32::MAX).is_err());
        assert!(Netfilter.bounds(&AttachSpec::SkLookup).is_err());
    }
}
