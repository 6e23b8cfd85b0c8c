//! A flood of datagrams and a stream of echo requests, of which every single one is accounted for.
//!
//! The sender is never more than [`AHEAD`] datagrams ahead of the receiver, so that no queue on the way can be what loses
//! one: what is missing was lost by whoever is on the hook.

use crate::netns::{ADDRESS, Netns, PEER_ADDRESS};
use crate::wait;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where the datagrams go.
const PORT: u16 = 4242;

/// Datagrams under way: an eighth of what the ring of a veth interface takes, and far less than a socket's buffer.
const AHEAD: u64 = 32;

/// Between two bursts: other processes of the test have to run, too.
const PAUSE: Duration = Duration::from_micros(500);

/// Between two echo requests.
const INTERVAL: Duration = Duration::from_millis(2);

/// What was sent while something was done, all of which arrived.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Datagrams to the interface of the instance.
    pub datagrams: u64,
    /// Echo requests to it.
    pub echoes: u64,
}

impl Sent {
    /// Packets that arrived on the interface of the instance.
    pub fn packets(&self) -> u64 {
        self.datagrams + self.echoes
    }
}

/// Does something while packets arrive on the interface of the instance; panics if one of them is lost, doubled or
/// overtaken.
#[track_caller]
pub fn under_flood<T>(netns: &Netns, work: impl FnOnce() -> T) -> (T, Sent) {
    let (stop, received) = (AtomicBool::new(false), AtomicU64::new(0));
    // Bound before the first datagram is sent.
    let socket = netns.inside(|| UdpSocket::bind((ADDRESS, PORT)).expect("bind"));
    let patience = Duration::from_secs(2) * wait::slowness();
    socket.set_read_timeout(Some(patience)).expect("a timeout");
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| netns.at_peer(|| send(&stop, &received, patience)));
        let receiver = scope.spawn(|| receive(&socket, &received));
        let echoes = scope.spawn(|| netns.at_peer(|| ping(&stop, patience)));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Release);
        let (datagrams, echoes) = (sender.join().expect("sender"), echoes.join().expect("ping"));
        let faults = receiver.join().expect("receiver");
        let value = outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let arrived = received.load(Ordering::Acquire);
        let is_whole = faults.is_empty() && arrived == datagrams && echoes.lost.is_empty();
        assert!(
            is_whole,
            "{arrived} of {datagrams} datagrams arrived, out of order {faults:?}; echoes without an answer {:?} of {}; the \
             kernel's own counts:\n{}",
            echoes.lost,
            echoes.sent,
            netns.inside(losses)
        );
        let sent = Sent {
            datagrams,
            echoes: echoes.sent,
        };
        (value, sent)
    })
}

/// Until it is told to stop, or nothing arrives any more; how many it were.
fn send(stop: &AtomicBool, received: &AtomicU64, patience: Duration) -> u64 {
    let socket = UdpSocket::bind((PEER_ADDRESS, 0)).expect("bind");
    let mut sent = 0_u64;
    let mut last = Instant::now();
    while !stop.load(Ordering::Acquire) {
        if sent - received.load(Ordering::Acquire) >= AHEAD {
            if last.elapsed() > patience {
                // Some are lost for good.
                break;
            }
            std::thread::sleep(PAUSE);
            continue;
        }
        let number = sent.to_be_bytes();
        socket.send_to(&number, (ADDRESS, PORT)).expect("send");
        sent += 1;
        last = Instant::now();
    }
    sent
}

/// Counts what comes in order; returns the numbers that did not, with those that were expected.
fn receive(socket: &UdpSocket, received: &AtomicU64) -> Vec<(u64, u64)> {
    let mut faults = Vec::new();
    let mut expected = 0;
    let mut number = [0; 8];
    // The end is a silence.
    while let Ok(length) = socket.recv(&mut number) {
        let found = u64::from_be_bytes(number);
        if length != number.len() || found != expected {
            faults.push((found, expected));
        }
        expected = found + 1;
        received.fetch_add(1, Ordering::AcqRel);
    }
    faults
}

/// What became of the echo requests.
struct Echoes {
    sent: u64,
    /// Those without an answer.
    lost: Vec<u64>,
}

fn ping(stop: &AtomicBool, patience: Duration) -> Echoes {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        flags,
        Some(ipproto::ICMP),
    )
    .expect("a raw socket");
    set_socket_timeout(&socket, Timeout::Recv, Some(patience)).expect("a timeout");
    let address: Ipv4Addr = ADDRESS.parse().expect("an address");
    let address = SocketAddrV4::new(address, 0);
    let mut echoes = Echoes {
        sent: 0,
        lost: Vec::new(),
    };
    while !stop.load(Ordering::Acquire) && echoes.lost.len() < 3 {
        let number = echoes.sent as u16;
        rustix::net::sendto(&socket, &echo(8, number), SendFlags::empty(), &address).expect("send");
        if !is_answered(&socket, number) {
            echoes.lost.push(echoes.sent);
        }
        echoes.sent += 1;
        std::thread::sleep(INTERVAL);
    }
    echoes
}

/// Whether the answer with this number comes before the time-out.
fn is_answered(socket: &impl std::os::fd::AsFd, number: u16) -> bool {
    const HEADER: usize = 20;
    let mut packet = [0; 64];
    let answer = echo(0, number);
    loop {
        match rustix::net::recv(socket, &mut packet[..], RecvFlags::empty()) {
            Ok((_, length)) if packet.get(HEADER..length) == Some(&answer[..]) => return true,
            // Of the ports where nobody listens.
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// An ICMP message of this type (RFC 792).
fn echo(kind: u8, number: u16) -> [u8; 8] {
    let identifier = 0x6270_u16;
    let sum = (u32::from(kind) << 8) + u32::from(identifier) + u32::from(number);
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !(((folded & 0xffff) + (folded >> 16)) as u16);
    let mut message = [0; 8];
    message[0] = kind;
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message[4..6].copy_from_slice(&identifier.to_be_bytes());
    message[6..8].copy_from_slice(&number.to_be_bytes());
    message
}

/// What the kernel says of packets that it dropped in the thread's network namespace.
fn losses() -> String {
    ["dev", "udp", "softnet_stat"]
        .into_iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok())
        .collect()
}
