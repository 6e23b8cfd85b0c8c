//! Whether a hook is as its record says.

use super::direction;
use crate::kernel::clsact;
use crate::kernel::netlink::Socket;
use crate::kernel::{Error, info, pin};
use crate::layout::Layout;
use ipc::messages::chain::Dispatcher;
use std::os::fd::AsFd;

/// Whether the head is on the hook. It is not when the interface is gone, or when somebody took it off.
pub fn is_live(layout: &Layout, dispatcher: &Dispatcher) -> Result<bool, Error> {
    let key = dispatcher.key;
    let Some(direction) = direction(key.kind) else {
        let link = pin::get(&layout.hook_link(key)).and_then(|link| info::link(link.as_fd()));
        return match link {
            // A link whose interface is gone has none.
            Ok(link) => Ok(link.ifindex == key.ifindex && link.program_id == dispatcher.program_id),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        };
    };
    if !pin::exists(&layout.head(key, dispatcher.revision))? {
        return Ok(false);
    }
    let filters = clsact::filters(&Socket::open()?, key.ifindex, direction)?;
    Ok(filters
        .iter()
        .any(|found| found.program_id == Some(dispatcher.program_id)))
}
