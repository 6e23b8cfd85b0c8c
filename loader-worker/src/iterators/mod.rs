//! The iterators over everything of eBPF that is in the kernel, whoever put it there.
//!
//! Asking the kernel for the ids of foreign objects takes CAP_SYS_ADMIN; reading an iterator takes nothing. The programs are
//! bpfman's own (`bpf/src/iterators.bpf.c`). What of them depends on the kernel, the offsets of fields, is filled in by the
//! image worker, as in any plan; here such a plan is taken only if it differs from what was compiled into this binary in
//! nothing else ([`template`]). The links are pinned when somebody first asks and stay: the pins are the loader's alone
//! (what the kernel tells only to CAP_SYS_ADMIN is not for everybody), and opening one makes a descriptor that somebody
//! without any right can read.
//!
//! No record knows of them: a pin is there or is made again.

pub mod template;

use crate::kernel::{Error, link, pin, program};
use bpf::ITERATOR_TEMPLATES;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::kernel::Inventory;
use ipc::plan::LoadPlan;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// `BPF_TRACE_ITER`.
const TRACE_ITER: u32 = 28;
/// Of the pins: the loader opens them, nobody else.
const MODE: u32 = 0o400;

/// Name of the directory of the pins: other builds have other iterators, which write other records.
pub fn build_name() -> String {
    let mut digest = Sha256::new();
    for template in &ITERATOR_TEMPLATES {
        digest.update(template.instructions);
    }
    let mut name = String::new();
    for byte in digest.finalize().iter().take(8) {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Opens an iterator: whoever reads the descriptor has the list. `None`: it is not installed.
pub fn open(directory: &Path, of: Inventory) -> Result<Option<OwnedFd>, Failure> {
    let path = directory.join(program_of(of));
    match rustix::fs::open(
        &path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
    ) {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(failed(Error::new("open", errno), &path)),
    }
}

/// Loads and pins the iterators that are not there; all, or none more than before.
pub fn install(directory: &Path, plan: &LoadPlan) -> Result<(), Failure> {
    let mut made = Vec::new();
    let outcome = ITERATOR_TEMPLATES.iter().try_for_each(|known| {
        let path = directory.join(known.name);
        if pin::exists(&path).map_err(|error| failed(error, &path))? {
            return Ok(());
        }
        install_one(known, plan, &path)?;
        made.push(path);
        Ok(())
    });
    if outcome.is_err() {
        for path in made {
            if let Err(error) = pin::unlink(&path) {
                tracing::error!(%error, path = %path.display(), "an iterator could not be taken back");
            }
        }
    }
    outcome
}

fn install_one(known: &bpf::Template, plan: &LoadPlan, path: &Path) -> Result<(), Failure> {
    let planned = plan
        .programs
        .iter()
        .find(|planned| planned.name == known.name)
        .ok_or_else(|| template::refused(known, "the plan does not have it"))?;
    let what = || format!("iterator \"{}\"", known.name);
    let program = template::fit(known, planned)?;
    let loaded = program::load(&program, template::LICENSE, None, &[])
        .map_err(|error| error.into_failure(Stage::Query, what()))?;
    let link = link::create_tracing(loaded.as_fd(), TRACE_ITER)
        .map_err(|error| error.into_failure(Stage::Query, what()))?;
    pin::pin(link.as_fd(), path).map_err(|error| failed(error, path))?;
    pin::set_mode(path, MODE).or_else(|error| {
        let failure = failed(error, path);
        pin::unlink(path)
            .map_err(|error| failed(error, path))
            .and(Err(failure))
    })
}

/// Removes the iterators of other builds.
pub fn sweep(directory: &Path) -> io::Result<()> {
    let Some(parent) = directory.parent() else {
        return Ok(());
    };
    let entries = match fs::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for build in entries {
        let build = build?.path();
        if build != directory {
            remove(&build)?;
        }
    }
    Ok(())
}

fn remove(directory: &PathBuf) -> io::Result<()> {
    for pin in fs::read_dir(directory)?.take(ITERATOR_TEMPLATES.len()) {
        fs::remove_file(pin?.path())?;
    }
    fs::remove_dir(directory)
}

fn program_of(of: Inventory) -> &'static str {
    match of {
        Inventory::Programs => "list_programs",
        Inventory::Maps => "list_maps",
        Inventory::Links => "list_links",
    }
}

fn failed(error: Error, path: &Path) -> Failure {
    let code = FailureCode::Internal;
    Failure::new(code, Stage::Query, format!("{}: {error}", path.display()))
        .remedy("see that bpffs is mounted and belongs to the loader")
}
