//! tp_btf: a program at the tracepoint that it was loaded for, which reads the arguments by their types.

use super::{AttachRequest, Attached, Hook, Kind, Prepared, attached, fixed_target, refused};
use crate::helpers::Done;
use crate::kernel::link;
use ipc::messages::attach::LinkDetails;
use ipc::messages::failure::Failure;
use ipc::messages::program::ProgramKind;

/// See the module.
pub struct TpBtf;

impl Kind for TpBtf {
    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        fixed_target(request).map(|_| Prepared::Ready(Hook::Fixed))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<Done>,
    ) -> Result<Attached, Failure> {
        const TRACE_RAW_TP: u32 = 23;
        let name = fixed_target(request)?;
        let link = link::create_tracing(request.program, TRACE_RAW_TP)
            .map_err(|error| refused(error, request, &format!("tracepoint {name}")))?;
        attached(link, ProgramKind::TpBtf, LinkDetails::TpBtf { name })
    }
}
