//! Network interfaces of the network namespace that the calling thread is in.
//!
//! Names and numbers are asked of the kernel through a Unix socket, lists through netlink: the loader may open no other
//! sockets, and neither needs /sys.

use super::netlink::{Message, Socket};
use super::{Error, suggest, sys};
use rustix::io::Errno;
use rustix::net::netdevice::{index_to_name, name_to_index};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::os::fd::OwnedFd;

/// `IFNAMSIZ`, the NUL included.
const NAME_LENGTH: usize = 16;

/// Index of an interface; `None` when there is none of this name.
pub fn index(name: &str) -> Result<Option<u32>, Error> {
    if name.is_empty() || name.len() >= NAME_LENGTH || name.bytes().any(|byte| byte == 0) {
        return Ok(None);
    }
    match name_to_index(any_socket()?, name) {
        Ok(index) => Ok(Some(index)),
        Err(Errno::NODEV) => Ok(None),
        Err(errno) => Err(Error::new("SIOCGIFINDEX", errno)),
    }
}

/// Name of an interface; `None` when there is none of this index.
pub fn name(index: u32) -> Result<Option<String>, Error> {
    match index_to_name(any_socket()?, index) {
        Ok(name) => Ok(Some(name)),
        Err(Errno::NODEV) => Ok(None),
        Err(errno) => Err(Error::new("SIOCGIFNAME", errno)),
    }
}

/// Whether there is an interface of this index in the network namespace of a socket.
pub fn exists(socket: &Socket, index: u32) -> Result<bool, Error> {
    const GET_LINK: u16 = 18;
    let request = Message::new(GET_LINK, 0).head(&[0, index, 0, 0]);
    match socket.ask("RTM_GETLINK", request, |_| ()) {
        Ok(()) => Ok(true),
        Err(error) if error.errno == Errno::NODEV => Ok(false),
        Err(error) => Err(error),
    }
}

/// Names like one that does not exist. Being a courtesy, it is empty when the kernel does not answer.
pub fn near(name: &str) -> Vec<String> {
    suggest::near(name, sys::interfaces::names().unwrap_or_default())
}

/// The ioctls on interfaces take a socket of any kind.
fn any_socket() -> Result<OwnedFd, Error> {
    socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| Error::new("socket", errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_both_ways() {
        let loopback = index("lo").unwrap().expect("every namespace has lo");
        assert_eq!(name(loopback).unwrap().as_deref(), Some("lo"));
        let socket = Socket::open().unwrap();
        assert!(exists(&socket, loopback).unwrap());
        assert!(!exists(&socket, u32::MAX >> 1).unwrap());
        assert!(sys::interfaces::names().unwrap().contains(&"lo".to_owned()));
    }

    #[test]
    fn what_is_no_interface_is_not_found() {
        for wrong in ["", "nosuchinterface", "sixteen_letters_", "lo\0"] {
            assert_eq!(index(wrong).unwrap(), None, "{wrong:?}");
        }
        assert_eq!(name(u32::MAX >> 1).unwrap(), None);
        assert_eq!(near("l0"), Vec::<String>::new());
    }
}
