//! Where things are: pins in the bpffs subtree, the store and the plans in the state directory.
//!
//! The bpffs layout is a contract with applications, which open map pins by these paths.

use ipc::messages::chain::{HookKey, HookKind};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The directories of one instance.
#[derive(Clone, Debug)]
pub struct Layout {
    fs: PathBuf,
    state: PathBuf,
}

impl Layout {
    /// The layout under a runtime directory (bpffs is mounted at its `fs`) and a state directory.
    pub fn new(runtime_dir: &Path, state_dir: &Path) -> Self {
        Self {
            fs: runtime_dir.join("fs"),
            state: state_dir.to_owned(),
        }
    }

    /// Root of the bpffs subtree. Pins of links stand below it where their kind says ([`crate::kinds::Kind::pin`]).
    pub fn fs(&self) -> &Path {
        &self.fs
    }

    /// Pin of a program.
    pub fn program_pin(&self, program_id: u32) -> PathBuf {
        self.fs.join(format!("prog_{program_id}"))
    }

    /// Directory with the map pins of a map set, which is named after the program that made it.
    pub fn map_set(&self, set_id: u32) -> PathBuf {
        self.fs.join("maps").join(set_id.to_string())
    }

    /// Pin of a map that is shared by name.
    pub fn shared(&self, name: &str) -> PathBuf {
        self.fs.join("shared").join(name)
    }

    /// Directory with the pins of a program's data sections, for programs that are made of it later. Not a place for
    /// applications: what is in it is theirs to see under no name.
    pub fn sections(&self, program_id: u32) -> PathBuf {
        self.fs.join("sections").join(program_id.to_string())
    }

    /// Pin of the link on a hook (XDP), whose program changes with every revision.
    pub fn hook_link(&self, key: HookKey) -> PathBuf {
        self.hook_directory(key.kind)
            .join(format!("dispatcher_{}_{}_link", key.nsid, key.ifindex))
    }

    /// Pin of the counters of a hook.
    pub fn hook_counters(&self, key: HookKey) -> PathBuf {
        self.hook_directory(key.kind)
            .join(format!("dispatcher_{}_{}_counters", key.nsid, key.ifindex))
    }

    /// Pin of the witness of a hook's interface (clsact in another network namespace).
    pub fn hook_witness(&self, key: HookKey) -> PathBuf {
        self.hook_directory(key.kind)
            .join(format!("dispatcher_{}_{}_witness", key.nsid, key.ifindex))
    }

    /// Directory with the pins of one revision of a hook.
    pub fn revision(&self, key: HookKey, revision: u32) -> PathBuf {
        self.hook_directory(key.kind).join(format!(
            "dispatcher_{}_{}_{revision}",
            key.nsid, key.ifindex
        ))
    }

    /// Pin of the program on the hook, in the directory of a revision.
    pub fn head(&self, key: HookKey, revision: u32) -> PathBuf {
        self.revision(key, revision).join("dispatcher")
    }

    /// Pin of a member's own link, in the directory of a revision.
    pub fn member(&self, key: HookKey, revision: u32, position: usize) -> PathBuf {
        self.revision(key, revision)
            .join(format!("link_{position}"))
    }

    fn hook_directory(&self, kind: HookKind) -> PathBuf {
        self.fs.join(kind.name())
    }

    /// Directories that are there as long as the service is installed; they hold pins but mean nothing.
    pub fn fixed_directories(&self) -> Vec<PathBuf> {
        [
            "maps",
            "shared",
            "links",
            "sections",
            "tcx-ingress",
            "tcx-egress",
            "xdp",
            "tc-ingress",
            "tc-egress",
        ]
        .map(|name| self.fs.join(name))
        .to_vec()
    }

    /// Directory of the pins of this build's iterators. They are nobody's program: no record knows them.
    pub fn iterators(&self) -> PathBuf {
        self.fs
            .join("iterators")
            .join(crate::iterators::build_name())
    }

    /// Directory of the store.
    pub fn store(&self) -> PathBuf {
        self.state.join("store")
    }

    /// Directory of the plans.
    pub fn plans(&self) -> PathBuf {
        self.state.join("plans")
    }

    /// File of the plan with this digest.
    pub fn plan(&self, digest: &[u8; 32]) -> PathBuf {
        self.plans().join(plan_name(digest))
    }
}

/// Name of the file of the plan with this digest.
pub fn plan_name(digest: &[u8; 32]) -> String {
    let mut name = String::with_capacity(69);
    for byte in digest {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(".plan");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_where_the_contract_says() {
        let layout = Layout::new(Path::new("/run/bpfman"), Path::new("/var/lib/bpfman"));
        assert_eq!(layout.program_pin(7), Path::new("/run/bpfman/fs/prog_7"));
        assert_eq!(layout.map_set(7), Path::new("/run/bpfman/fs/maps/7"));
        assert_eq!(
            layout.shared("trail"),
            Path::new("/run/bpfman/fs/shared/trail")
        );
    }

    #[test]
    fn plans_are_named_by_digest() {
        let layout = Layout::new(Path::new("/r"), Path::new("/s"));
        let name = format!("/s/plans/{}.plan", "ab".repeat(32));
        assert_eq!(layout.plan(&[0xab; 32]), Path::new(&name));
    }
}
