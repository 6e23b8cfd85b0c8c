//! bpfman's iterators: compiled for this kernel they are taken, and they list what is there.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

mod kernel_support;

use ipc::messages::kernel::Inventory;
use ipc::messages::program::ProgramKind;
use kernel_support::{isolated, plan};
use loader_worker::iterators;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

const ALL: [Inventory; 3] = [Inventory::Programs, Inventory::Maps, Inventory::Links];

fn iterators_plan() -> ipc::plan::LoadPlan {
    let names = bpf::ITERATOR_TEMPLATES.map(|template| (template.name, ProgramKind::Iter));
    plan(bpf::ITERATORS, &names)
}

#[test]
fn iterators_are_installed_once_and_read_often() {
    isolated(|bpffs| {
        let directory = bpffs.join("iterators/new");
        for of in ALL {
            assert!(iterators::open(&directory, of).unwrap().is_none());
        }
        let plan = iterators_plan();
        iterators::install(&directory, &plan).unwrap();
        // Those that are there stay; the one that is gone comes back.
        std::fs::remove_file(directory.join("list_maps")).unwrap();
        iterators::install(&directory, &plan).unwrap();
        for (of, size) in ALL.into_iter().zip([328, 56, 152]) {
            let mut list = Vec::new();
            let mut file = File::from(iterators::open(&directory, of).unwrap().expect("installed"));
            file.read_to_end(&mut list).unwrap();
            assert!(list.len().is_multiple_of(size), "{of:?}: {}", list.len());
            // No map need be there; the iterators and their links are.
            assert!(of == Inventory::Maps || list.len() >= 3 * size, "{of:?}");
        }
        for pin in std::fs::read_dir(&directory).unwrap() {
            let mode = pin.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o400);
        }
        let other = bpffs.join("iterators/other");
        iterators::install(&other, &plan).unwrap();
        iterators::sweep(&directory).unwrap();
        assert!(!other.exists() && directory.join("list_links").exists());
    });
}

#[test]
fn a_plan_that_is_refused_leaves_nothing() {
    isolated(|bpffs| {
        let directory = bpffs.join("iterators/new");
        let mut plan = iterators_plan();
        // The last one: two would be there already.
        let last = plan.programs.last_mut().unwrap();
        *last.instructions.last_mut().unwrap() ^= 1;
        let failure = iterators::install(&directory, &plan).unwrap_err();
        assert!(failure.cause.contains("is not of this build"), "{failure}");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    });
}
