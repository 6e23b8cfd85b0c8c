//! Comparing what is in kernel, pins, store and on disk before and after a request that must leave nothing.

use crate::instance::Instance;
use crate::kernel::{self, Inventory, inventory};
use crate::wait;
use ipc::messages::client::{ClientReply, ClientRequest};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is there at one moment.
#[derive(Clone, Debug)]
pub struct Traces {
    kernel: Inventory,
    pins: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    /// What store, pins and kernel differ in, unfinished changes among it.
    findings: Vec<String>,
    programs: ClientReply,
    links: ClientReply,
}

impl Traces {
    /// Of an instance that serves.
    pub fn of(instance: &Instance) -> Self {
        Self {
            kernel: without_iterators(inventory(), instance),
            pins: files_below(&instance.fs())
                .into_iter()
                .filter(|pin| !pin.starts_with(iterators(instance)))
                .collect(),
            files: [instance.state_dir(), instance.cache_dir()]
                .iter()
                .flat_map(|folder| files_below(folder))
                .filter(|path| !is_churn_of_the_database(path))
                .collect(),
            findings: instance.findings(),
            programs: instance.request(&ClientRequest::ListPrograms),
            links: instance.request(&ClientRequest::ListLinks),
        }
    }

    /// The same is there now, and nothing new in the kernel. The kernel frees what was released a little later, so that
    /// is waited for.
    #[track_caller]
    pub fn assert_unchanged(&self, instance: &Instance, after: &str) {
        let mut differences = Vec::new();
        let _ = wait::until(Duration::from_secs(5), || {
            differences = self.differences(&Traces::of(instance));
            differences.is_empty().then_some(())
        });
        assert!(
            differences.is_empty(),
            "after {after}: {}",
            differences.join("; ")
        );
    }

    fn differences(&self, now: &Traces) -> Vec<String> {
        let mut found = Vec::new();
        let kernel = now.kernel.since(&self.kernel);
        if kernel != Inventory::default() {
            found.push(format!("left in the kernel: {kernel:?}"));
        }
        for (what, before, now) in [
            ("pins", &self.pins, &now.pins),
            ("files", &self.files, &now.files),
        ] {
            let changed: Vec<&PathBuf> = before.symmetric_difference(now).collect();
            if !changed.is_empty() {
                found.push(format!("{what} that came or went: {changed:?}"));
            }
        }
        if self.findings != now.findings {
            found.push(format!(
                "doctor found {:?}, finds {:?}",
                self.findings, now.findings
            ));
        }
        for (what, before, now) in [
            ("programs", &self.programs, &now.programs),
            ("links", &self.links, &now.links),
        ] {
            if before != now {
                found.push(format!("{what} were {before:?}, are {now:?}"));
            }
        }
        found
    }
}

/// Where bpfman keeps what it looks at the kernel with: there from the first look on, which is no request's trace.
fn iterators(instance: &Instance) -> PathBuf {
    instance.fs().join("iterators")
}

fn without_iterators(mut all: Inventory, instance: &Instance) -> Inventory {
    for pin in files_below(&iterators(instance)) {
        // Gone since it was found, or not made yet.
        let Ok((link, program)) = kernel::link_behind(&pin) else {
            continue;
        };
        all.links.remove(&link);
        all.programs.remove(&program);
    }
    all
}

/// Log files and tables of RocksDB come and go by its own rules; what is in it is compared through the lists.
fn is_churn_of_the_database(path: &Path) -> bool {
    path.parent()
        .is_some_and(|folder| folder.join("CURRENT").exists())
}

fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}
