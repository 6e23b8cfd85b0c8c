//! lsm: a program at the security hook that it was loaded for, deciding with the other security modules.

use super::{AttachRequest, Attached, Hook, Kind, Prepared, attached, fixed_target, refused};
use crate::helpers::Done;
use crate::kernel::{link, probe};
use ipc::messages::attach::LinkDetails;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::ProgramKind;

/// See the module.
pub struct Lsm;

impl Kind for Lsm {
    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        fixed_target(request)?;
        // Without it the kernel makes the link all the same, and never runs the program.
        if let Err(missing) = probe::lsm() {
            return Err(
                Failure::new(FailureCode::Unsupported, Stage::Attach, missing.to_string())
                    .remedy("add bpf to the lsm= parameter of the kernel command line"),
            );
        }
        Ok(Prepared::Ready(Hook::Fixed))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<Done>,
    ) -> Result<Attached, Failure> {
        const LSM_MAC: u32 = 27;
        let hook = fixed_target(request)?;
        let link = link::create_tracing(request.program, LSM_MAC)
            .map_err(|error| refused(error, request, &format!("security hook {hook}")))?;
        attached(link, ProgramKind::Lsm, LinkDetails::Lsm { hook })
    }
}
