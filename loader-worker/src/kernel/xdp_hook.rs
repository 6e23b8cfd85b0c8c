//! Which XDP program is on an interface, whoever put it there. Layout: `linux/if_link.h`.

use super::Error;
use super::netlink::{Message, Socket, attributes, word};

const GET_LINK: u16 = 18;
const XDP: u16 = 43;
const PROGRAM_IDS: [u16; 3] = [5, 6, 7];
/// `struct ifinfomsg`.
const HEAD: usize = 16;

/// Kernel ids of the programs in driver, generic and hardware mode: none, one, or rarely two.
pub fn programs(socket: &Socket, ifindex: u32) -> Result<Vec<u32>, Error> {
    let request = Message::new(GET_LINK, 0).head(&[0, ifindex, 0, 0]);
    let mut found = Vec::new();
    socket.ask("RTM_GETLINK", request, |body| {
        let xdp = attributes(body.get(HEAD..).unwrap_or_default()).filter(|(name, _)| *name == XDP);
        for (_, xdp) in xdp {
            let ids = attributes(xdp).filter(|(name, _)| PROGRAM_IDS.contains(name));
            found.extend(ids.filter_map(|(_, id)| word(id, 0)));
        }
    })?;
    found.retain(|id| *id != 0);
    Ok(found)
}
