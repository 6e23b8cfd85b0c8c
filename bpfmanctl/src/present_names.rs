//! Names that interfaces have now, for reports. Records keep the name at the time of attaching; after a rename the links of two
//! interfaces could look like those of one.
//!
//! The kernel tells names of the network namespace that one is in. Links of others keep the recorded name.

use ipc::messages::attach::LinkDetails;
use rustix::net::netdevice::index_to_name;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

/// The network namespace of this process, and a way to ask the kernel about its interfaces. Nothing if it does not answer.
pub(crate) struct PresentNames(Option<(u64, OwnedFd)>);

impl PresentNames {
    /// Of the namespace that the process is in.
    pub(crate) fn here() -> Self {
        let here = || {
            let namespace = fs::metadata("/proc/self/ns/net").ok()?.ino();
            // The kernel takes a socket of any kind for this.
            let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
            let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).ok()?;
            Some((namespace, socket))
        };
        Self(here())
    }

    /// Has a link's interface called "NOW (was THEN)" if it has another name than at the time of attaching.
    pub(crate) fn tell(&self, details: &mut LinkDetails) {
        if let Some((namespace, socket)) = &self.0 {
            tell(details, *namespace, |ifindex| {
                index_to_name(socket, ifindex).ok()
            });
        }
    }
}

fn tell(details: &mut LinkDetails, here: u64, name: impl Fn(u32) -> Option<String>) {
    let (LinkDetails::Xdp {
        interface,
        ifindex,
        nsid,
        ..
    }
    | LinkDetails::XdpGuest {
        interface,
        ifindex,
        nsid,
        ..
    }
    | LinkDetails::Tc {
        interface,
        ifindex,
        nsid,
        ..
    }
    | LinkDetails::Tcx {
        interface,
        ifindex,
        nsid,
        ..
    }
    | LinkDetails::Netkit {
        interface,
        ifindex,
        nsid,
        ..
    }) = details
    else {
        return;
    };
    if *nsid != here {
        return;
    }
    if let Some(now) = name(*ifindex).filter(|now| now != interface) {
        *interface = format!("{now} (was {interface})");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::attach::Direction;

    fn told(here: u64, ifindex: u32, now: Option<&str>) -> String {
        let mut details = LinkDetails::Tcx {
            interface: "d1".to_owned(),
            ifindex,
            direction: Direction::Ingress,
            priority: 50,
            position: 0,
            netns: String::new(),
            nsid: 7,
        };
        tell(&mut details, here, |asked| {
            assert_eq!(asked, ifindex);
            now.map(str::to_owned)
        });
        match details {
            LinkDetails::Tcx { interface, .. } => interface,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn another_name_is_told_beside_the_recorded_one() {
        assert_eq!(told(7, 3, Some("d9")), "d9 (was d1)");
        assert_eq!(told(7, 3, Some("d1")), "d1");
        assert_eq!(told(7, 3, None), "d1");
        assert_eq!(told(8, 3, Some("d9")), "d1");
    }
}
