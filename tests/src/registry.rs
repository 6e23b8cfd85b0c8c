//! A registry of Debian's package `docker-registry`, on loopback, for one test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest time that a registry may take to listen on a busy machine.
const START: Duration = Duration::from_secs(20);

/// The registry; it ends with this value.
pub struct Registry {
    child: Child,
    address: String,
    _folder: TempDir,
}

/// Whether there is one; virtual machines have none.
///
/// # Errors
///
/// The reason why there is none.
pub fn available() -> Result<(), String> {
    let found = ["/usr/bin", "/usr/local/bin"].iter().any(|directory| {
        std::path::Path::new(directory)
            .join("docker-registry")
            .exists()
    });
    match found {
        true => Ok(()),
        false => Err("docker-registry is not installed here".to_owned()),
    }
}

impl Registry {
    /// Starts one that is empty, without TLS and without users.
    pub fn start() -> Self {
        Self::start_with("", "")
    }

    /// Starts one with more lines under `http:`, and more sections, in YAML.
    pub fn start_with(http: &str, sections: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("bound").to_string();
        drop(free);
        let data = folder.path().join("data");
        let configuration = folder.path().join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
             http:\n  addr: \"{address}\"\n{http}{sections}",
            data.display()
        );
        fs::write(&configuration, text).expect("a file");
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry, of Debian's package of that name");
        let until = Instant::now() + START;
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < until, "the registry does not listen");
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "the registry ended: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A name in it.
    pub fn image(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
