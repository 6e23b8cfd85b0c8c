//! Programs.

use super::kernel::{KernelProgram, MapStatus, Stats};
use super::link::Link;
use crate::inventory::ProgramRow;
use crate::kernel_names;
use crate::select;
use crate::text::digest;
use crate::time::rfc3339;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipc::messages::{kernel, program};
use serde::Serialize;
use std::collections::BTreeMap;

/// What `program load` prints, in the order of the request.
#[derive(Serialize)]
pub(crate) struct Programs {
    programs: Vec<Program>,
}

impl From<Vec<program::Program>> for Programs {
    fn from(programs: Vec<program::Program>) -> Self {
        Self {
            programs: programs.into_iter().map(Program::from).collect(),
        }
    }
}

/// What `program get` prints.
#[derive(Serialize)]
pub(crate) struct Program {
    record: ProgramRecord,
    status: ProgramStatus,
}

impl From<program::Program> for Program {
    fn from(program: program::Program) -> Self {
        let status = ProgramStatus {
            kernel: program.kernel.map(KernelProgram::from),
            stats: program.stats.map(Stats::from),
            prog_pin: program.record.pin_path.clone(),
            map_dir: program.record.maps_dir.clone(),
            bytecode: program.record.plan_path.clone(),
            links: program.links.into_iter().map(Link::from).collect(),
            maps: program.maps.into_iter().map(MapStatus::from).collect(),
            map_used_by: program.map_used_by,
        };
        Self {
            record: program.record.into(),
            status,
        }
    }
}

#[derive(Serialize)]
struct ProgramStatus {
    kernel: Option<KernelProgram>,
    stats: Option<Stats>,
    prog_pin: String,
    map_dir: String,
    /// The stored load plan: no object file is kept.
    bytecode: String,
    links: Vec<Link>,
    maps: Vec<MapStatus>,
    map_used_by: Vec<u32>,
}

#[derive(Serialize)]
struct ProgramRecord {
    program_id: u32,
    load: LoadSpec,
    license: String,
    gpl_compatible: bool,
    handles: Handles,
    meta: Meta,
    created_at: String,
    /// Records are written once.
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct LoadSpec {
    /// The stored load plan.
    object_path: String,
    source_path: Option<String>,
    program_name: String,
    program_type: &'static str,
    global_data: BTreeMap<String, String>,
    image_source: Option<ImageSource>,
    attach_func: Option<String>,
    /// Always null: `handles` has the owner.
    map_owner_id: Option<u32>,
}

/// The image that the object came from.
#[derive(Serialize)]
struct ImageSource {
    url: String,
    digest: String,
    pull_policy: &'static str,
}

#[derive(Serialize)]
struct Handles {
    pin_path: String,
    map_pin_path: String,
    map_owner_id: Option<u32>,
}

#[derive(Serialize)]
struct Meta {
    name: String,
    owner: String,
    description: String,
    metadata: BTreeMap<String, String>,
}

impl From<program::ProgramRecord> for ProgramRecord {
    fn from(record: program::ProgramRecord) -> Self {
        let (source_path, image_source) = match record.source {
            program::Source::File(path) => (Some(path), None),
            program::Source::Image(image) => {
                let manifest = image.origin.map(|origin| digest(&origin.manifest));
                let source = ImageSource {
                    url: image.url,
                    digest: manifest.unwrap_or_default(),
                    pull_policy: image.pull_policy.name(),
                };
                (None, Some(source))
            }
        };
        let globals = record.globals.into_iter();
        Self {
            program_id: record.program_id,
            load: LoadSpec {
                object_path: record.plan_path,
                source_path,
                program_name: record.name.clone(),
                program_type: record.kind.name(),
                global_data: globals
                    .map(|global| (global.name, STANDARD.encode(global.bytes)))
                    .collect(),
                image_source,
                attach_func: record.attach_function,
                map_owner_id: None,
            },
            license: record.license,
            gpl_compatible: record.gpl_compatible,
            handles: Handles {
                pin_path: record.pin_path,
                map_pin_path: record.maps_dir,
                map_owner_id: record.map_owner,
            },
            meta: Meta {
                name: record.name,
                owner: String::new(),
                description: String::new(),
                metadata: record.metadata,
            },
            created_at: rfc3339(record.created_at),
            updated_at: None,
        }
    }
}

/// What `program list` prints, ascending by id.
#[derive(Serialize)]
pub(crate) struct ProgramList {
    pub(crate) programs: Vec<ProgramListEntry>,
}

#[derive(Serialize)]
pub(crate) struct ProgramListEntry {
    program_id: u32,
    managed: bool,
    application: String,
    #[serde(rename = "type")]
    kind: String,
    function_name: String,
    links: Vec<u64>,
    record: Option<ProgramRecord>,
    kernel: Option<KernelProgram>,
}

impl From<ProgramRow> for ProgramListEntry {
    fn from(row: ProgramRow) -> Self {
        match row {
            ProgramRow::Managed(entry) => entry.into(),
            ProgramRow::Foreign(program) => program.into(),
        }
    }
}

impl From<kernel::KernelProgram> for ProgramListEntry {
    fn from(program: kernel::KernelProgram) -> Self {
        Self {
            program_id: program.id,
            managed: false,
            application: String::new(),
            kind: kernel_names::program_type(program.prog_type),
            function_name: program.name.clone(),
            links: Vec::new(),
            record: None,
            kernel: Some(program.into()),
        }
    }
}

impl From<program::ProgramEntry> for ProgramListEntry {
    fn from(entry: program::ProgramEntry) -> Self {
        Self {
            program_id: entry.record.program_id,
            managed: true,
            application: select::application(&entry.record.metadata).to_owned(),
            kind: entry.record.kind.name().to_owned(),
            function_name: entry.record.name.clone(),
            links: entry.links,
            record: Some(entry.record.into()),
            kernel: entry.kernel.map(KernelProgram::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::*;
    use crate::samples;
    use ipc::messages::program::GlobalValue;

    #[test]
    fn a_program_just_loaded() {
        let loaded = Programs::from(vec![samples::program()]);
        insta::assert_snapshot!(render(&loaded).unwrap());
    }

    #[test]
    fn a_program_with_everything() {
        let program = Program::from(samples::full_program());
        insta::assert_snapshot!(render(&program).unwrap());
    }

    #[test]
    fn a_program_that_is_gone_from_the_kernel() {
        let mut program = samples::program();
        program.kernel = None;
        program.maps.clear();
        insta::assert_snapshot!(render(&Program::from(program)).unwrap());
    }

    #[test]
    fn lists() {
        let list = ProgramList {
            programs: vec![
                samples::program_entry().into(),
                ProgramRow::Foreign(samples::foreign_program()).into(),
            ],
        };
        insta::assert_snapshot!(render(&list).unwrap());
        let empty = ProgramList {
            programs: Vec::new(),
        };
        assert_eq!(render(&empty).unwrap(), "{\n  \"programs\": []\n}\n");
    }

    #[test]
    fn globals_are_sorted_and_in_base64() {
        let mut program = samples::program();
        program.record.globals = vec![
            GlobalValue {
                name: "z".to_owned(),
                bytes: vec![],
            },
            GlobalValue {
                name: "a".to_owned(),
                bytes: vec![0xff, 0, 1, 2],
            },
        ];
        let text = render(&Program::from(program)).unwrap();
        let expected =
            "\"global_data\": {\n        \"a\": \"/wABAg==\",\n        \"z\": \"\"\n      }";
        assert!(text.contains(expected), "{text}");
    }
}
