//! Object files for `bpfmanctl program load file`.

use crate::instance::Instance;
use crate::maps;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Slots of the map `counters` of the object `counter`.
pub mod slot {
    /// `tcx_ingress_count`.
    pub const TCX_INGRESS: usize = 0;
    /// `tcx_egress_count`.
    pub const TCX_EGRESS: usize = 1;
    /// `tc_count`.
    pub const TC: usize = 2;
    /// `xdp_count`.
    pub const XDP: usize = 3;
    /// `tracepoint_count`.
    pub const TRACEPOINT: usize = 4;
    /// `uprobe_count`.
    pub const UPROBE: usize = 5;
    /// `uretprobe_count`.
    pub const URETPROBE: usize = 6;
}

/// A folder with object files; removed with it.
#[derive(Debug)]
pub struct Objects(TempDir);

impl Default for Objects {
    fn default() -> Self {
        Self::new()
    }
}

impl Objects {
    /// An empty folder.
    pub fn new() -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("bpfman-objects-")
                .tempdir()
                .expect("a directory"),
        )
    }

    /// A file with this content.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).expect("write");
        path
    }

    /// The object `order` without the request to share its map by name, for tests that share it by `--map-owner-id`.
    pub fn order(&self) -> PathBuf {
        let mut content = bpf::ORDER.to_vec();
        let places: Vec<usize> = content
            .windows(9)
            .enumerate()
            .filter(|(_, window)| *window == b"\0pinning\0")
            .map(|(at, _)| at)
            .collect();
        assert!(
            !places.is_empty(),
            "the object does not ask for sharing by name"
        );
        for at in places {
            // An attribute of this name means nothing to anybody.
            content[at + 1..at + 8].copy_from_slice(b"ignored");
        }
        self.file("order.o", &content)
    }

    /// A path below the folder, whether something is there or not.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// One of the objects of the crate `bpf`, by name.
    pub fn object(&self, name: &str) -> PathBuf {
        let (_, content) = bpf::ALL
            .iter()
            .find(|(object, _)| *object == name)
            .expect("an object of the crate bpf");
        self.file(&format!("{name}.o"), content)
    }
}

/// A loaded program of the object `counter` whose maps everybody may read.
#[derive(Clone, Debug)]
pub struct Counter {
    /// Kernel id of the program.
    pub program: u32,
    pin: PathBuf,
    slot: usize,
}

impl Counter {
    /// Loads one program, `TYPE:NAME`.
    #[track_caller]
    pub fn load(instance: &Instance, program: &str, slot: usize) -> Self {
        let objects = Objects::new();
        let ids = instance.load(
            &objects.object("counter"),
            program,
            &["--maps-mode", "0644"],
        );
        Self::of(instance, ids[0], slot)
    }

    /// Loads one program, `TYPE:NAME[:TARGET]`, of an object of the crate `bpf` that has a map `counters`.
    ///
    /// # Errors
    ///
    /// What bpfman says instead.
    #[track_caller]
    pub fn try_load(
        instance: &Instance,
        object: &str,
        program: &str,
        slot: usize,
        more: &[&str],
    ) -> Result<Self, String> {
        let objects = Objects::new();
        let path = objects.object(object);
        let path = path.to_string_lossy();
        let mut arguments = vec!["program", "load", "file", &path, "--programs", program];
        arguments.extend(["--maps-mode", "0644", "-o", "json"]);
        arguments.extend(more);
        let output = instance.ctl(&arguments);
        if output.code != 0 {
            return Err(output.refused());
        }
        let loaded = output.json();
        let id = loaded["programs"][0]["record"]["program_id"].as_u64();
        let id = id.and_then(|id| u32::try_from(id).ok()).expect("an id");
        Ok(Self::of(instance, id, slot))
    }

    /// A program that is loaded.
    #[track_caller]
    pub fn of(instance: &Instance, program: u32, slot: usize) -> Self {
        Self {
            program,
            pin: map_pin(instance, program, "counters"),
            slot,
        }
    }

    /// Kernel id as an argument.
    pub fn id(&self) -> String {
        self.program.to_string()
    }

    /// What it has counted.
    #[track_caller]
    pub fn value(&self) -> u64 {
        maps::counter(&self.pin, self.slot)
    }

    /// Where its map is pinned.
    pub fn pin(&self) -> &Path {
        &self.pin
    }
}

/// The pin of a map of a program.
#[track_caller]
pub fn map_pin(instance: &Instance, program: u32, map: &str) -> PathBuf {
    let answer = instance
        .ctl(&["program", "get", &program.to_string(), "-o", "json"])
        .json();
    let folder = answer["record"]["handles"]["map_pin_path"]
        .as_str()
        .expect("a maps directory");
    Path::new(folder).join(map)
}
