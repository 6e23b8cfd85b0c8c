//! fentry and fexit: a program at the start or the return of the kernel function that it was loaded for.
//!
//! Whether the kernel can do this is known since the load; attaching needs nothing but the program.

use super::{AttachRequest, Attached, Hook, Kind, Prepared, attached, fixed_target, refused};
use crate::helpers::Done;
use crate::kernel::link;
use ipc::messages::attach::LinkDetails;
use ipc::messages::failure::Failure;
use ipc::messages::program::ProgramKind;

/// At the start.
pub struct Fentry;

/// At the return.
pub struct Fexit;

impl Kind for Fentry {
    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        fixed_target(request).map(|_| Prepared::Ready(Hook::Fixed))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<Done>,
    ) -> Result<Attached, Failure> {
        const TRACE_FENTRY: u32 = 24;
        let function = fixed_target(request)?;
        let link = link::create_tracing(request.program, TRACE_FENTRY)
            .map_err(|error| refused(error, request, &format!("kernel function {function}")))?;
        attached(link, ProgramKind::Fentry, LinkDetails::Fentry { function })
    }
}

impl Kind for Fexit {
    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        fixed_target(request).map(|_| Prepared::Ready(Hook::Fixed))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<Done>,
    ) -> Result<Attached, Failure> {
        const TRACE_FEXIT: u32 = 25;
        let function = fixed_target(request)?;
        let link = link::create_tracing(request.program, TRACE_FEXIT)
            .map_err(|error| refused(error, request, &format!("kernel function {function}")))?;
        attached(link, ProgramKind::Fexit, LinkDetails::Fexit { function })
    }
}
