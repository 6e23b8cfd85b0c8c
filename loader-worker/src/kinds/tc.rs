//! tc: on clsact. Programs of this kind are members of chains, which [`crate::chains`] makes: here is only what is
//! checked before.

use super::{AttachRequest, Attached, Hook, Kind, Network, Prepared, interface, mismatched};
use crate::chains::verdicts;
use crate::helpers::Done;
use crate::network_namespace::NetworkPlace;
use crate::request::{bound, check_name};
use ipc::messages::attach::AttachSpec;
use ipc::messages::chain::HookKind;
use ipc::messages::failure::Failure;
use ipc::messages::program::ProgramKind;

/// See the module.
pub struct Tc;

/// Verdicts in one request: a mask has no more bits.
const VERDICTS_LISTED: usize = 32;

impl Kind for Tc {
    fn kinds(&self) -> &'static [ProgramKind] {
        &[ProgramKind::Tc]
    }

    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        let AttachSpec::Tc {
            interface,
            proceed_on,
            ..
        } = spec
        else {
            return Err(mismatched(spec));
        };
        check_name(interface)?;
        bound("verdicts", proceed_on.len(), VERDICTS_LISTED)
    }

    fn network<'a>(&self, spec: &'a AttachSpec) -> Network<'a> {
        match spec {
            AttachSpec::Tc { interface, .. } => Network::Interface(interface),
            _ => Network::Nowhere,
        }
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let AttachSpec::Tc {
            priority,
            proceed_on,
            ..
        } = request.spec
        else {
            return Err(mismatched(request.spec));
        };
        interface::check_priority(*priority)?;
        verdicts::recorded(HookKind::TcIngress, proceed_on)?;
        let NetworkPlace { namespace, ifindex } = interface::place(request)?;
        Ok(Prepared::Ready(Hook::Interface {
            ifindex: *ifindex,
            nsid: namespace.id(),
        }))
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
