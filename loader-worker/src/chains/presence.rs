//! Whether a hook is as its record says.

use super::direction;
use super::reach::Way;
use crate::kernel::clsact;
use crate::kernel::{Error, info, pin};
use crate::layout::Layout;
use ipc::messages::chain::Dispatcher;
use std::os::fd::AsFd;

/// Whether the head is on the hook. It is not when the interface is gone, or when somebody took it off. `way` leads to the
/// hook; `None` where its interface is gone.
pub fn is_live(layout: &Layout, dispatcher: &Dispatcher, way: Option<&Way>) -> Result<bool, Error> {
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
    let (Some(way), true) = (way, is_pinned(layout, dispatcher)?) else {
        return Ok(false);
    };
    let filters = way.with(|socket| clsact::filters(socket, key.ifindex, direction))?;
    Ok(filters
        .iter()
        .any(|found| found.program_id == Some(dispatcher.program_id)))
}

/// Whether the head of a clsact hook is pinned.
pub fn is_pinned(layout: &Layout, dispatcher: &Dispatcher) -> Result<bool, Error> {
    pin::exists(&layout.head(dispatcher.key, dispatcher.revision))
}
