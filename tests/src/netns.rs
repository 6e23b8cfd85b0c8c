//! A network namespace with a veth pair to a second one from which traffic comes.

use crate::wait;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::Write;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Interface inside the namespace of the instance.
pub const INTERFACE: &str = "veth0";

/// Address of [`INTERFACE`].
pub const ADDRESS: &str = "192.0.2.1";

/// Address of the other end.
pub const PEER_ADDRESS: &str = "192.0.2.2";

/// Addresses of IPv6 of both ends.
const ADDRESS_6: &str = "2001:db8::1";
const PEER_ADDRESS_6: &str = "2001:db8::2";

/// The device that [`Netns::add_netkit`] makes, and its address.
pub const NETKIT: &str = "nk0";

/// Address of [`NETKIT`].
const NETKIT_ADDRESS: &str = "198.51.100.1";

/// Address of the other end.
const NETKIT_PEER_ADDRESS: &str = "198.51.100.2";

/// Hardware addresses of both.
const HARDWARE: &str = "02:00:00:00:00:01";
const PEER_HARDWARE: &str = "02:00:00:00:00:02";

/// Two namespaces joined by a veth pair; both end with it.
#[derive(Debug)]
pub struct Netns {
    name: String,
    peer: String,
}

impl Default for Netns {
    fn default() -> Self {
        Self::new()
    }
}

impl Netns {
    /// Makes both namespaces, the pair, and brings it up.
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bpfman-{}-{number}", std::process::id());
        let peer = format!("{name}-peer");
        let pair = Self { name, peer };
        let (own, other) = (&pair.name, &pair.peer);
        ip(&[], &format!("netns add {own}\nnetns add {other}\n"));
        ip(
            &["-n", own],
            &format!(
                "link add {INTERFACE} address {HARDWARE} type veth \
                 peer name {INTERFACE} address {PEER_HARDWARE} netns {other}\n"
            ),
        );
        for (namespace, address, neighbour, hardware) in [
            (own, ADDRESS, PEER_ADDRESS, PEER_HARDWARE),
            (other, PEER_ADDRESS, ADDRESS, HARDWARE),
        ] {
            // No link-local address, and the neighbour is known: looking for it would be counted beside what the tests
            // send.
            ip(
                &["-n", namespace],
                &format!(
                    "address add {address}/24 dev {INTERFACE}\n\
                     link set lo up\n\
                     link set {INTERFACE} addrgenmode none\n\
                     link set {INTERFACE} up\n\
                     neighbour add {neighbour} lladdr {hardware} dev {INTERFACE} nud permanent\n"
                ),
            );
        }
        pair
    }

    /// Name of the instance's namespace, as `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of the instance's namespace.
    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// What the kernel calls the instance's namespace.
    pub fn inode(&self) -> u64 {
        std::fs::metadata(self.path())
            .expect("the namespace is there")
            .ino()
    }

    /// Runs a command of ip(8) in the instance's namespace.
    pub fn ip(&self, command: &str) {
        ip(&["-n", &self.name], &format!("{command}\n"));
    }

    /// Sets the length of the largest packets at both ends of the pair.
    pub fn set_mtu(&self, bytes: u32) {
        for namespace in [&self.name, &self.peer] {
            ip(
                &["-n", namespace],
                &format!("link set {INTERFACE} mtu {bytes}\n"),
            );
        }
    }

    /// Gives both ends of the pair an address of IPv6; the neighbours know each other.
    pub fn add_ipv6(&self) {
        for (namespace, address, neighbour, hardware) in [
            (&self.name, ADDRESS_6, PEER_ADDRESS_6, PEER_HARDWARE),
            (&self.peer, PEER_ADDRESS_6, ADDRESS_6, HARDWARE),
        ] {
            ip(
                &["-n", namespace],
                &format!(
                    "address add {address}/64 dev {INTERFACE} nodad\n\
                     neighbour add {neighbour} lladdr {hardware} dev {INTERFACE} nud permanent\n"
                ),
            );
        }
    }

    /// As [`Netns::send_packets`], by IPv6 ([`Netns::add_ipv6`]).
    pub fn send_packets_6(&self, count: usize) {
        self.at_peer(|| send(count, PEER_ADDRESS_6, ADDRESS_6));
    }

    /// Sends one datagram of so many bytes from the other end, to a port where nobody listens.
    pub fn send_datagram(&self, bytes: usize) {
        self.at_peer(|| {
            let socket = UdpSocket::bind((PEER_ADDRESS, 0)).expect("bind");
            socket
                .send_to(&vec![0; bytes], (ADDRESS, 9))
                .expect("a datagram leaves");
        });
    }

    /// Joins both namespaces by a pair of netkit devices called [`NETKIT`], too; the primary one is in that of the instance.
    ///
    /// # Errors
    ///
    /// Where the kernel knows no such devices.
    pub fn add_netkit(&self) -> std::io::Result<()> {
        let peer = File::open(format!("/run/netns/{}", self.peer))?;
        self.inside(|| crate::netkit::add(NETKIT, peer.as_fd()))?;
        for (namespace, address) in [
            (&self.name, NETKIT_ADDRESS),
            (&self.peer, NETKIT_PEER_ADDRESS),
        ] {
            ip(
                &["-n", namespace],
                &format!(
                    "address add {address}/24 dev {NETKIT}\n\
                     link set {NETKIT} addrgenmode none\n\
                     link set {NETKIT} up\n"
                ),
            );
        }
        Ok(())
    }

    /// Sends datagrams that leave by the primary device of [`Netns::add_netkit`], to a port where nobody listens.
    pub fn send_by_netkit(&self, count: usize) {
        self.inside(|| send(count, NETKIT_ADDRESS, NETKIT_PEER_ADDRESS));
    }

    /// Sends datagrams that leave by the peer of [`Netns::add_netkit`], to a port where nobody listens.
    pub fn send_by_netkit_peer(&self, count: usize) {
        self.at_peer(|| send(count, NETKIT_PEER_ADDRESS, NETKIT_ADDRESS));
    }

    /// Takes the names of both namespaces away. They end when nobody holds them any more.
    pub fn delete(&self) {
        for namespace in [&self.peer, &self.name] {
            // A namespace that cannot be removed was never made.
            let _ = Command::new("ip")
                .args(["netns", "del", namespace])
                .output();
        }
    }

    /// A process that is in the instance's namespace and keeps it in existence until it is killed.
    pub fn resident(&self) -> Child {
        let command = ["netns", "exec", &self.name, "sleep", "600"];
        let child = Command::new("ip").args(command).spawn().expect("ip(8)");
        let namespace = format!("/proc/{}/ns/net", child.id());
        let inode = self.inode();
        let is_inside = || std::fs::metadata(&namespace).is_ok_and(|file| file.ino() == inode);
        let entered = wait::until(Duration::from_secs(10), || is_inside().then_some(()));
        entered.expect("the process does not enter");
        child
    }

    /// Takes the name of the instance's namespace away, and no other's.
    pub fn unname(&self) {
        ip(&[], &format!("netns del {}\n", self.name));
    }

    /// Gives it its name again, which a process that is inside knows.
    pub fn name_again(&self, process: u32) {
        ip(&[], &format!("netns attach {} {process}\n", self.name));
    }

    /// Runs something inside the namespace of the instance, on a thread that ends there.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.name, work)
    }

    /// Runs something at the other end.
    pub fn at_peer<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.peer, work)
    }

    /// Sends datagrams from the other end to a port where nobody listens; each is at least one packet on [`INTERFACE`].
    pub fn send_packets(&self, count: usize) {
        self.at_peer(|| send(count, PEER_ADDRESS, ADDRESS));
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        self.delete();
    }
}

fn send(count: usize, from: &str, to: &str) {
    let socket = UdpSocket::bind((from, 0)).expect("bind");
    for _ in 0..count {
        // Unreachable ports are reported on a later send: that is the other end's answer to the packet before.
        let _ = socket.send_to(b"bpfman", (to, 9));
    }
}

fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(format!("/run/netns/{namespace}")).expect("the namespace is there");
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("setns");
            work()
        });
        match worker.join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Runs a batch of commands in one process: starting one is slow under emulation.
fn ip(arguments: &[&str], batch: &str) {
    let mut child = Command::new("ip")
        .args(arguments)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cannot start ip");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(batch.as_bytes()).expect("write");
    drop(input);
    let output = child.wait_with_output().expect("wait");
    assert!(
        output.status.success(),
        "ip {}: {batch}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}
