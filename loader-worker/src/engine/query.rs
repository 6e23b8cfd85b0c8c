//! Looking things up: the record from the store, the state from the kernel through the pin.

use super::Engine;
use crate::drift::{Behind, is_recorded};
use crate::hooks::mprog_order;
use crate::kernel::{info, pin};
use crate::layout::Layout;
use crate::observe;
use crate::reconcile;
use crate::store::records::StoredProgram;
use ipc::messages::attach::{Link, LinkDetails, LinkEntry, LinkNumbers, LinkRecord};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::kernel::KernelMap;
use ipc::messages::loader::DoctorReport;
use ipc::messages::program::{Program, ProgramEntry};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;

impl Engine {
    /// One program with everything that is known about it.
    pub fn program(&self, id: u32) -> Result<Program, Failure> {
        let stored = self.store.program(id)?.ok_or_else(|| {
            not_found(format!("program {id}: record not found"))
                .remedy("see `bpfmanctl program list`")
        })?;
        let (kernel, stats) = match observe::program(&stored.record.pin_path, &self.memlocks) {
            Behind::Found((kernel, stats)) if kernel.id == id => (Some(kernel), Some(stats)),
            _ => (None, None),
        };
        let links = self.links_with_positions()?;
        Ok(Program {
            kernel,
            stats,
            links: links
                .into_iter()
                .filter(|link| link.program_id == id)
                .map(|record| link(&self.layout, record, &stored.record.name))
                .collect(),
            maps: stored.maps.iter().map(map).collect(),
            map_used_by: self.store.map_set_users(stored.map_set()),
            record: stored.record,
        })
    }

    /// All programs, ascending by id; those that are gone from the kernel have no kernel part.
    pub fn programs(&self) -> Result<Vec<ProgramEntry>, Failure> {
        let mut links: BTreeMap<u32, Vec<LinkRecord>> = BTreeMap::new();
        for link in self.store.links()? {
            links.entry(link.program_id).or_default().push(link);
        }
        let entry = |stored: StoredProgram| {
            let id = stored.record.program_id;
            let kernel = match observe::program(&stored.record.pin_path, &self.memlocks) {
                Behind::Found((kernel, _)) if kernel.id == id => Some(kernel),
                _ => None,
            };
            let links = links.remove(&id).unwrap_or_default();
            ProgramEntry {
                kernel,
                attached: links.iter().any(|link| {
                    matches!(observe::link(link), Behind::Found(_))
                        && observe::has_filter(&self.layout, link)
                }),
                links: links.iter().map(|link| link.id).collect(),
                record: stored.record,
            }
        };
        Ok(self.store.programs()?.into_iter().map(entry).collect())
    }

    /// One link.
    pub fn link(&self, id: u64) -> Result<Link, Failure> {
        let record = self
            .links_with_positions()?
            .into_iter()
            .find(|link| link.id == id);
        let record = record.ok_or_else(|| {
            not_found(format!("link {id}: not found")).remedy("see `bpfmanctl link list`")
        })?;
        let program = self.store.program(record.program_id)?;
        let name = program
            .map(|program| program.record.name)
            .unwrap_or_default();
        Ok(link(&self.layout, record, &name))
    }

    /// All links, ascending by id.
    pub fn links(&self) -> Result<Vec<LinkEntry>, Failure> {
        let programs: BTreeMap<u32, StoredProgram> = self
            .store
            .programs()?
            .into_iter()
            .map(|program| (program.record.program_id, program))
            .collect();
        let entry = |record: LinkRecord| {
            let program = programs
                .get(&record.program_id)
                .map(|program| &program.record);
            LinkEntry {
                program_name: program
                    .map(|program| program.name.clone())
                    .unwrap_or_default(),
                // A link without a program is found by `doctor`; its own kind is the best guess for a list.
                program_kind: program.map_or(record.kind, |program| program.kind),
                program_metadata: program
                    .map(|program| program.metadata.clone())
                    .unwrap_or_default(),
                record,
            }
        };
        Ok(self
            .links_with_positions()?
            .into_iter()
            .map(entry)
            .collect())
    }

    /// Where store, pins and kernel differ.
    pub async fn doctor(&self) -> Result<DoctorReport, Failure> {
        reconcile::doctor(&self.store, &self.layout, &*self.helpers).await
    }

    fn links_with_positions(&self) -> Result<Vec<LinkRecord>, Failure> {
        let mut links = self.store.links()?;
        let positions: Vec<_> = links
            .iter()
            .map(|link| mprog_order::position(link, &links))
            .collect();
        for (link, rank) in links.iter_mut().zip(positions) {
            if let (
                LinkDetails::Tcx { position, .. } | LinkDetails::Netkit { position, .. },
                Some(rank),
            ) = (&mut link.details, rank)
            {
                *position = rank;
            }
        }
        Ok(links)
    }
}

fn link(layout: &Layout, record: LinkRecord, program_name: &str) -> Link {
    let found = observe::link(&record);
    let pin_present = found != Behind::Nothing;
    let kernel = match found {
        Behind::Found(kernel)
            if is_recorded(&kernel, &record) && observe::has_filter(layout, &record) =>
        {
            Some(kernel)
        }
        _ => None,
    };
    let numbers = match &kernel {
        Some(_) if record.since() > 1 => observe::link_numbers(&record),
        _ => LinkNumbers::None,
    };
    Link {
        record,
        program_name: program_name.to_owned(),
        kernel,
        pin_present,
        numbers,
    }
}

/// A map as it is now if it can be opened, else as it was when its program was loaded.
fn map(stored: &KernelMap) -> KernelMap {
    if stored.pin_path.is_empty() {
        return stored.clone();
    }
    match pin::get_to_read(Path::new(&stored.pin_path)).and_then(|map| info::map(map.as_fd())) {
        Ok(found) => KernelMap {
            pin_path: stored.pin_path.clone(),
            present: true,
            ..found
        },
        Err(_) => KernelMap {
            present: false,
            ..stored.clone()
        },
    }
}

fn not_found(cause: String) -> Failure {
    Failure::new(FailureCode::NotFound, Stage::Query, cause)
}
