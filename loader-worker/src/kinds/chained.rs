//! xdp and tc: programs of these kinds are members of chains, which [`crate::chains`] makes. Here is only what is checked
//! before.

use super::{AttachRequest, Attached, Hook, Kind, Network, Prepared, interface, mismatched};
use crate::chains::verdicts;
use crate::helpers::Done;
use crate::network_namespace::NetworkPlace;
use crate::request::{bound, check_name};
use ipc::messages::attach::AttachSpec;
use ipc::messages::chain::HookKind;
use ipc::messages::failure::Failure;

/// Before the network stack.
pub struct Xdp;

/// On clsact.
pub struct Tc;

/// Verdicts in one request: a mask has no more bits.
const VERDICTS_LISTED: usize = 32;

/// What the requests for the two have in common.
struct Place<'a> {
    interface: &'a str,
    priority: i32,
    proceed_on: &'a [i32],
    /// Whose verdicts they are; the two directions of clsact have the same.
    hook: HookKind,
}

fn place(spec: &AttachSpec) -> Result<Place<'_>, Failure> {
    match spec {
        AttachSpec::Xdp {
            interface,
            priority,
            proceed_on,
            ..
        }
        | AttachSpec::XdpGuest {
            interface,
            priority,
            proceed_on,
        } => Ok(Place {
            interface,
            priority: *priority,
            proceed_on,
            hook: HookKind::Xdp,
        }),
        AttachSpec::Tc {
            interface,
            priority,
            proceed_on,
            ..
        } => Ok(Place {
            interface,
            priority: *priority,
            proceed_on,
            hook: HookKind::TcIngress,
        }),
        _ => Err(mismatched(spec)),
    }
}

fn bounds(spec: &AttachSpec) -> Result<(), Failure> {
    let place = place(spec)?;
    check_name(place.interface)?;
    bound("verdicts", place.proceed_on.len(), VERDICTS_LISTED)
}

fn network(spec: &AttachSpec) -> Network<'_> {
    place(spec).map_or(Network::Nowhere, |place| {
        Network::Interface(place.interface)
    })
}

fn prepare(request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
    let place = place(request.spec)?;
    interface::check_priority(place.priority)?;
    verdicts::recorded(place.hook, place.proceed_on)?;
    let NetworkPlace { namespace, ifindex } = interface::place(request)?;
    Ok(Prepared::Ready(Hook::Interface {
        ifindex: *ifindex,
        nsid: namespace.id(),
    }))
}

macro_rules! member_of_chains {
    ($kind:ident) => {
        impl Kind for $kind {
            fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
                bounds(spec)
            }

            fn network<'a>(&self, spec: &'a AttachSpec) -> Network<'a> {
                network(spec)
            }

            fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
                prepare(request)
            }

            /// A chain is made by the engine, never link by link.
            fn attach(
                &self,
                request: &AttachRequest<'_>,
                _: Hook,
                _: Option<Done>,
            ) -> Result<Attached, Failure> {
                Err(mismatched(request.spec))
            }
        }
    };
}

member_of_chains!(Xdp);
member_of_chains!(Tc);
