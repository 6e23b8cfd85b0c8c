//! Which XDP program is on an interface, whoever put it there, and another in its place where it is held by no link.
//! Layout: `linux/if_link.h`.

use super::Error;
use super::netlink::{ACKNOWLEDGE, Message, Socket, attributes, word};
use ipc::messages::attach::XdpMode;
use std::os::fd::{AsRawFd, BorrowedFd};

const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const XDP: u16 = 43;
const DESCRIPTOR: u16 = 1;
const FLAGS: u16 = 3;
const DRIVER_PROGRAM: u16 = 5;
const GENERIC_PROGRAM: u16 = 6;
const HARDWARE_PROGRAM: u16 = 7;
const EXPECTED: u16 = 8;
/// `struct ifinfomsg`.
const HEAD: usize = 16;

/// Kernel ids of the programs in driver, generic and hardware mode: none, one, or rarely two.
pub fn programs(socket: &Socket, ifindex: u32) -> Result<Vec<u32>, Error> {
    let found = attached(socket, ifindex)?;
    Ok(found.into_iter().map(|(id, _)| id).collect())
}

/// The same with their modes; `None` for hardware.
pub fn attached(socket: &Socket, ifindex: u32) -> Result<Vec<(u32, Option<XdpMode>)>, Error> {
    let request = Message::new(GET_LINK, 0).head(&[0, ifindex, 0, 0]);
    let mut found = Vec::new();
    socket.ask("RTM_GETLINK", request, |body| {
        let xdp = attributes(body.get(HEAD..).unwrap_or_default()).filter(|(name, _)| *name == XDP);
        for (_, xdp) in xdp {
            found.extend(attributes(xdp).filter_map(|(name, id)| {
                let mode = match name {
                    DRIVER_PROGRAM => Some(XdpMode::Native),
                    GENERIC_PROGRAM => Some(XdpMode::Generic),
                    HARDWARE_PROGRAM => None,
                    _ => return None,
                };
                Some((word(id, 0)?, mode))
            }));
        }
    })?;
    found.retain(|(id, _)| *id != 0);
    Ok(found)
}

/// Puts a program, or none, in the place of the one that is expected there, or in an empty place. It is held by no link, as
/// libxdp leaves it. `EEXIST`: something else is there; `EBUSY`: a link holds what is there.
pub fn replace(
    socket: &Socket,
    ifindex: u32,
    mode: XdpMode,
    new: Option<BorrowedFd<'_>>,
    expected: Option<BorrowedFd<'_>>,
) -> Result<(), Error> {
    const IF_NOTHING_THERE: u32 = 1 << 0;
    const GENERIC: u32 = 1 << 1;
    const DRIVER: u32 = 1 << 2;
    const REPLACE: u32 = 1 << 4;
    let mode = match mode {
        XdpMode::Native => DRIVER,
        XdpMode::Generic => GENERIC,
    };
    let condition = if expected.is_some() {
        REPLACE
    } else {
        IF_NOTHING_THERE
    };
    // -1 stands for none.
    let number = |program: BorrowedFd<'_>| program.as_raw_fd().cast_unsigned();
    let new = new.map_or(u32::MAX, number);
    let request = Message::new(SET_LINK, ACKNOWLEDGE)
        .head(&[0, ifindex, 0, 0])
        .nested(XDP, |request| {
            let request = request
                .number(DESCRIPTOR, new)
                .number(FLAGS, mode | condition);
            match expected {
                Some(expected) => request.number(EXPECTED, number(expected)),
                None => request,
            }
        });
    socket.request("RTM_SETLINK xdp", request)
}
