//! iter: a program that runs for each object of a kind (each task, each program) whenever somebody reads the pin of its
//! link, and that writes what the reader gets. The pin has mode 0600.

use super::{AttachRequest, Attached, Hook, Kind, Prepared, attached, fixed_target, refused};
use crate::helpers::Done;
use crate::kernel::link;
use ipc::messages::attach::LinkDetails;
use ipc::messages::failure::Failure;
use ipc::messages::program::ProgramKind;

/// See the module.
pub struct Iter;

impl Kind for Iter {
    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        fixed_target(request).map(|_| Prepared::Ready(Hook::Fixed))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<Done>,
    ) -> Result<Attached, Failure> {
        const TRACE_ITER: u32 = 28;
        let target = fixed_target(request)?;
        let link = link::create_tracing(request.program, TRACE_ITER)
            .map_err(|error| refused(error, request, &format!("iterator {target}")))?;
        attached(link, ProgramKind::Iter, LinkDetails::Iter { target })
    }
}
