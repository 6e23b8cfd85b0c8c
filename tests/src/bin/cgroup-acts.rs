//! `cgroup-acts CGROUP HOOK TIMES`: joins a control group, then does so many times what the hook sees, and nothing else that
//! it sees. Traffic stays on the loopback interface.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::UdpSocket;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [group, hook, times] = &arguments[..] else {
        return Err("usage: cgroup-acts CGROUP HOOK TIMES".into());
    };
    fs::write(
        format!("{group}/cgroup.procs"),
        std::process::id().to_string(),
    )?;
    let mut act = prepared(hook)?;
    (0..times.parse::<u32>()?).try_for_each(|_| act())
}

/// The act, after what it takes.
fn prepared(hook: &str) -> Result<Box<dyn FnMut() -> Outcome>, Box<dyn Error>> {
    if let Some(name) = hook.strip_suffix("_unix") {
        return unix(name);
    }
    let loopback = if hook.ends_with('6') {
        "[::1]:0"
    } else {
        "127.0.0.1:0"
    };
    let bound = move || UdpSocket::bind(loopback);
    Ok(match hook.trim_end_matches(['4', '6']) {
        "bind" | "post_bind" | "sock_create" | "sock_release" => Box::new(move || done(bound())),
        name @ ("ingress" | "egress" | "sendmsg" | "recvmsg") => {
            let (near, far) = (bound()?, bound()?);
            let address = far.local_addr()?;
            let receives = name != "sendmsg";
            Box::new(move || {
                near.send_to(b"seen", address)?;
                if receives {
                    far.recv_from(&mut [0; 16])?;
                }
                Ok(())
            })
        }
        "connect" => {
            let (near, far) = (bound()?, bound()?.local_addr()?);
            Box::new(move || done(near.connect(far)))
        }
        "getpeername" => {
            let (near, far) = (bound()?, bound()?.local_addr()?);
            near.connect(far)?;
            Box::new(move || done(near.peer_addr()))
        }
        "getsockname" => {
            let near = bound()?;
            Box::new(move || done(near.local_addr()))
        }
        "getsockopt" => {
            let near = bound()?;
            Box::new(move || done(near.broadcast()))
        }
        "setsockopt" => {
            let near = bound()?;
            Box::new(move || done(near.set_broadcast(true)))
        }
        "sysctl" => {
            let mut file = File::open("/proc/sys/kernel/ostype")?;
            Box::new(move || done(file.read(&mut [0; 64])))
        }
        "dev" => Box::new(|| done(File::open("/dev/null"))),
        _ => return Err(format!("nothing is known that {hook} sees").into()),
    })
}

fn done<T>(result: io::Result<T>) -> Outcome {
    result.map(drop).map_err(Into::into)
}

/// The same with sockets of this machine, which have names that are no files.
fn unix(name: &str) -> Result<Box<dyn FnMut() -> Outcome>, Box<dyn Error>> {
    let address = |end: &str| {
        let name = format!("cgroup-acts-{}-{end}", std::process::id());
        SocketAddr::from_abstract_name(name)
    };
    let near = UnixDatagram::bind_addr(&address("near")?)?;
    let far = UnixDatagram::bind_addr(&address("far")?)?;
    let there = address("far")?;
    Ok(match name {
        "connect" => Box::new(move || {
            let _listens = &far;
            done(near.connect_addr(&there))
        }),
        "sendmsg" | "recvmsg" => Box::new(move || {
            near.send_to_addr(b"seen", &there)?;
            far.recv_from(&mut [0; 16])?;
            Ok(())
        }),
        "getpeername" => {
            near.connect_addr(&there)?;
            Box::new(move || {
                let _listens = &far;
                done(near.peer_addr())
            })
        }
        "getsockname" => Box::new(move || done(near.local_addr())),
        _ => return Err(format!("nothing is known that {name}_unix sees").into()),
    })
}
