//! sd_notify(3). The socket is connected before the sandbox is entered, so that the supervisor needs no right to connect
//! to anything: libraries for this connect at each message, which would have to be allowed then.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager, if there is one that wants to know.
#[derive(Debug, Default)]
pub struct Notify(Option<UnixDatagram>);

impl Notify {
    /// Connects to `$NOTIFY_SOCKET`.
    pub fn connect(address: Option<&OsStr>) -> Self {
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return Self(None);
        };
        match connect(address) {
            Ok(socket) => Self(Some(socket)),
            Err(error) => {
                tracing::warn!(
                    "the service manager's socket {} cannot be used: {error}",
                    address.display()
                );
                Self(None)
            }
        }
    }

    /// To be kept open in the sandbox.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.0.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Clients are served.
    pub fn ready(&self) {
        self.send("READY=1\nSTATUS=serving");
    }

    /// The stop has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    fn send(&self, text: &str) {
        if let Some(Err(error)) = self.0.as_ref().map(|socket| socket.send(text.as_bytes())) {
            tracing::warn!("the service manager does not listen: {error}");
        }
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        [b'/', ..] => socket.connect(address)?,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "neither a path nor an abstract name",
            ));
        }
    }
    // A manager that does not read must not stop the supervisor.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_both_messages() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::connect(Some(path.as_os_str()));
        let mut text = [0; 64];
        notify.ready();
        let length = manager.recv(&mut text).unwrap();
        assert!(text[..length].starts_with(b"READY=1\n"));
        notify.stopping();
        let length = manager.recv(&mut text).unwrap();
        assert!(text[..length].starts_with(b"STOPPING=1\n"));
    }

    #[test]
    fn abstract_names_are_understood_and_nobody_is_fine() {
        let name = format!("bpfmand-test-{}", std::process::id());
        let manager =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notify::connect(Some(OsStr::new(&format!("@{name}")))).ready();
        let mut text = [0; 64];
        assert!(manager.recv(&mut text).unwrap() > 0);
        assert_eq!(Notify::connect(None).descriptor(), None);
        assert_eq!(
            Notify::connect(Some(OsStr::new("relative"))).descriptor(),
            None
        );
    }
}
