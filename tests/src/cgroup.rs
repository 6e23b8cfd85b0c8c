//! Control groups of the tests' own, and processes that do in them what a hook sees.

use crate::binaries::program;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A control group; removed with it.
#[derive(Debug)]
pub struct Group(PathBuf);

impl Default for Group {
    fn default() -> Self {
        Self::new()
    }
}

impl Group {
    /// An empty one, directly below the root of the hierarchy.
    pub fn new() -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        let root = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|fields| fields.get(2) == Some(&"cgroup2"))
            .map(|fields| PathBuf::from(fields[1]))
            .expect("a mount of cgroup2");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("bpfman-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a control group");
        Self(path)
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Number by which the kernel knows it.
    pub fn id(&self) -> u64 {
        fs::metadata(&self.0).expect("the group is there").ino()
    }

    /// Has a process in it do so many times what the hook sees.
    #[track_caller]
    pub fn act(&self, hook: &str, times: u32) {
        let output = Command::new(program("cgroup-acts"))
            .arg(&self.0)
            .args([hook, &times.to_string()])
            .output()
            .expect("cannot start cgroup-acts");
        assert!(
            output.status.success(),
            "{hook}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A test may have removed it.
        let _ = fs::remove_dir(&self.0);
    }
}
