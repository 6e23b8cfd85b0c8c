//! A pair of netkit devices, made by rtnetlink(7): ip(8) of Debian 12 does not know them.

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

// include/uapi/linux/rtnetlink.h, if_link.h and netlink.h.
const RTM_NEWLINK: u16 = 16;
/// `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_EXCL` and `NLM_F_CREATE`.
const FLAGS: u16 = 0x1 | 0x4 | 0x200 | 0x400;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_NETKIT_PEER_INFO: u16 = 1;
/// `struct ifinfomsg`, all of it zero.
const INTERFACE: [u8; 16] = [0; 16];

/// Makes the primary device in the thread's network namespace and its peer, of the same name, in another.
///
/// # Errors
///
/// What the kernel says: `EOPNOTSUPP` where it knows no netkit.
pub fn add(name: &str, peer_namespace: BorrowedFd<'_>) -> io::Result<()> {
    let text = [name.as_bytes(), b"\0"].concat();
    let namespace = peer_namespace.as_raw_fd().to_ne_bytes();
    let peer = [
        INTERFACE.to_vec(),
        attribute(IFLA_IFNAME, &text),
        attribute(IFLA_NET_NS_FD, &namespace),
    ]
    .concat();
    let kind = [
        attribute(IFLA_INFO_KIND, b"netkit\0"),
        attribute(IFLA_INFO_DATA, &attribute(IFLA_NETKIT_PEER_INFO, &peer)),
    ]
    .concat();
    let body = [
        INTERFACE.to_vec(),
        attribute(IFLA_IFNAME, &text),
        attribute(IFLA_LINKINFO, &kind),
    ]
    .concat();
    ask(&body)
}

/// Length and number in front, filled up to a multiple of four behind.
fn attribute(number: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("a short attribute");
    let mut bytes = [&length.to_ne_bytes(), &number.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn ask(body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(16 + body.len()).expect("a short message");
    let message = [
        &length.to_ne_bytes()[..],
        &RTM_NEWLINK.to_ne_bytes(),
        &FLAGS.to_ne_bytes(),
        // Sequence and port.
        &[0; 8],
        body,
    ]
    .concat();
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // NETLINK_ROUTE is 0.
        None,
    )?;
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0; 4096];
    let (_, length) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    // `struct nlmsgerr` behind the header: the negative error, 0 for none.
    let code = answer[..length]
        .get(16..20)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes)
        .ok_or_else(|| io::Error::other("an answer that is too short"))?;
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(-code)),
    }
}
