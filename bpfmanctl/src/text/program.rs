//! Programs.

use super::link::attachment;
use super::map::pin;
use super::report::{NONE, Section};
use super::{accepted, digest};
use super::{or_none, table};
use crate::inventory::ProgramRow;
use crate::json::{is_restricted, tag};
use crate::kernel_names::{map_type, program_type};
use crate::select::application;
use crate::time::rfc3339;
use ipc::messages::kernel::{KernelProgram, ProgramStats};
use ipc::messages::program::{Program, ProgramRecord, Source};
use std::fmt::Write;
use std::time::Duration;

/// The table of `program list`.
pub(crate) fn programs(rows: &[ProgramRow], width: Option<u16>) -> String {
    let application = |row: &ProgramRow| match row {
        ProgramRow::Managed(entry) => application(&entry.record.metadata).to_owned(),
        ProgramRow::Foreign(_) => String::new(),
    };
    let with_application = rows.iter().any(|row| !application(row).is_empty());
    let mut headings = vec!["PROGRAM ID", "TYPE", "FUNCTION NAME", "LINK IDS"];
    if with_application {
        headings.insert(1, "APPLICATION");
    }
    let cells = |row: &ProgramRow| {
        let (kind, name, links) = match row {
            ProgramRow::Managed(entry) => (
                entry.record.kind.to_string(),
                match entry.kernel {
                    Some(_) => entry.record.name.clone(),
                    None => format!("{} (gone)", entry.record.name),
                },
                entry.links.as_slice(),
            ),
            ProgramRow::Foreign(program) => (
                program_type(program.prog_type),
                program.name.clone(),
                [].as_slice(),
            ),
        };
        let links = match links {
            [] => "<none>".to_owned(),
            links => joined(links, " "),
        };
        let mut cells = vec![row.id().to_string(), kind, name, links];
        if with_application {
            cells.insert(1, application(row));
        }
        cells
    };
    table(&headings, rows.iter().map(cells).collect(), width)
}

/// The report of `program get` and `program load`. Whether the kernel keeps statistics cannot be seen in zeros.
pub(crate) fn program(program: &Program, with_stats: bool, width: Option<u16>) -> String {
    let mut text = format!("Program ID: {}\n", program.record.program_id);
    text.push_str(&spec(&program.record).render(width));
    text.push_str(&status(program).render(width));
    text.push_str(&stats(program, with_stats).render(width));
    text
}

fn spec(record: &ProgramRecord) -> Section {
    let mut section = Section::new("Spec");
    let globals: Vec<String> = record
        .globals
        .iter()
        .map(|global| format!("{}={}", global.name, hex(&global.bytes)))
        .collect();
    let metadata: Vec<String> = record
        .metadata
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    section.row("Global", globals.join(", "));
    section.row("GPL Compatible", record.gpl_compatible);
    section.row("License", &record.license);
    section.row("Map Owner ID", or_none(record.map_owner, NONE));
    section.row("Map Pin Path", &record.maps_dir);
    section.row("Metadata", metadata.join(", "));
    section.row("Name", &record.name);
    match &record.source {
        Source::File(path) => section.row("Path", path),
        Source::Image(image) => {
            section.row("Image URL", &image.url);
            section.row("Pull Policy", image.pull_policy);
            if let Some(origin) = &image.origin {
                section.row("Image Digest", digest(&origin.manifest));
                section.row("Image Accepted", accepted(&origin.acceptance));
            }
        }
    }
    section.row("Type", record.kind);
    if let Some(function) = &record.attach_function {
        section.row("Attach Function", function);
    }
    section
}

fn status(program: &Program) -> Section {
    let mut section = Section::new("Status");
    section.row("Bytecode", &program.record.plan_path);
    section.row("Map Dir", &program.record.maps_dir);
    section.row("Maps Used By", joined(&program.map_used_by, ", "));
    section.row("Prog Pin", &program.record.pin_path);
    match &program.kernel {
        Some(kernel) => kernel_rows(&mut section, kernel),
        None => section.row("Kernel Type", "(not in the kernel)"),
    }
    section.table("Links", links(program));
    section.table("Maps", maps(program));
    section
}

fn kernel_rows(section: &mut Section, kernel: &KernelProgram) {
    let bytes = |size: u32| {
        if is_restricted(kernel.xlated_size) {
            "(restricted)".to_owned()
        } else {
            format!("{size} bytes")
        }
    };
    section.row(
        "BTF ID",
        or_none(Some(kernel.btf_id).filter(|id| *id != 0), NONE),
    );
    section.row("Instructions", kernel.verified_insns);
    section.row("Kernel Type", program_type(kernel.prog_type));
    section.row("Loaded At", rfc3339(kernel.loaded_at));
    section.row(
        "Memory",
        or_none(kernel.memlock.map(|memory| format!("{memory} bytes")), NONE),
    );
    section.row("Size JITted", bytes(kernel.jited_size));
    section.row("Size Translated", bytes(kernel.xlated_size));
    section.row("Tag", tag(kernel.tag));
}

fn links(program: &Program) -> Vec<Vec<String>> {
    let mut rows = vec![headings(&["LINK ID", "KIND", "ATTACHMENT"])];
    rows.extend(program.links.iter().map(|link| {
        let record = &link.record;
        vec![
            record.id.to_string(),
            record.kind.to_string(),
            attachment(&record.details),
        ]
    }));
    rows
}

fn maps(program: &Program) -> Vec<Vec<String>> {
    // The answer to a load names the directory of the pins alone: a column would say that there are none.
    let has_pins = program.maps.iter().any(|map| !map.pin_path.is_empty());
    let columns = ["MAP ID", "NAME", "TYPE", "KEY", "VALUE", "ENTRIES", "PIN"];
    let shown = columns.len() - usize::from(!has_pins);
    let mut rows = vec![headings(&columns[..shown])];
    rows.extend(program.maps.iter().map(|map| {
        let mut row = vec![
            map.id.to_string(),
            map.name.clone(),
            map_type(map.map_type),
            map.key_size.to_string(),
            map.value_size.to_string(),
            map.max_entries.to_string(),
            pin(map),
        ];
        row.truncate(shown);
        row
    }));
    rows
}

fn stats(program: &Program, enabled: bool) -> Section {
    let stats = program.stats.unwrap_or_default();
    if !enabled && stats == ProgramStats::default() {
        return Section::remark(
            "Stats",
            "(not enabled, see sysctl kernel.bpf_stats_enabled)",
        );
    }
    let mut section = Section::new("Stats");
    section.row("Recursion Misses", stats.recursion_misses);
    section.row("Run Count", stats.run_count);
    section.row(
        "Runtime",
        format!("{:?}", Duration::from_nanos(stats.runtime_ns)),
    );
    section
}

fn headings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn joined(values: &[impl ToString], separator: &str) -> String {
    values
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(separator)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::select::APPLICATION;

    #[test]
    fn lists() {
        let plain = samples::program_entry();
        let mut labelled = samples::program_entry();
        labelled.links.clear();
        labelled
            .record
            .metadata
            .insert(APPLICATION.to_owned(), "shop".to_owned());
        let (plain, labelled) = (ProgramRow::Managed(plain), ProgramRow::Managed(labelled));
        let foreign = ProgramRow::Foreign(samples::foreign_program());
        assert_eq!(
            programs(&[plain.clone(), foreign], None),
            "PROGRAM ID  TYPE       FUNCTION NAME  LINK IDS\n\
             512         xdp        pass           1 3\n\
             600         cgroupskb  sd_fw_ingress  <none>\n"
        );
        assert_eq!(
            programs(&[plain, labelled], None),
            "PROGRAM ID  APPLICATION  TYPE  FUNCTION NAME  LINK IDS\n\
             512                      xdp   pass           1 3\n\
             512         shop         xdp   pass           <none>\n"
        );
        let mut gone = samples::program_entry();
        gone.kernel = None;
        assert_eq!(
            programs(&[ProgramRow::Managed(gone)], None),
            "PROGRAM ID  TYPE  FUNCTION NAME  LINK IDS\n\
             512         xdp   pass (gone)    1 3\n"
        );
        assert_eq!(programs(&[], None), "");
    }

    #[test]
    fn a_program_just_loaded() {
        insta::assert_snapshot!(program(&samples::program(), true, None));
    }

    #[test]
    fn a_program_with_everything() {
        insta::assert_snapshot!(program(&samples::full_program(), false, None));
    }

    /// The path of a plan has no place to be folded at.
    #[test]
    fn labels_stay_whole_on_a_terminal() {
        let mut program = samples::full_program();
        program.record.plan_path = format!("/var/lib/bpfman/plans/{}.plan", "a".repeat(64));
        let text = super::program(&program, true, Some(80));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        for label in [
            "Bytecode:",
            "Size Translated:",
            "Map Owner ID:",
            "Recursion Misses:",
        ] {
            let rows = text
                .lines()
                .filter(|line| line.trim_start().starts_with(label));
            assert_eq!(rows.count(), 1, "{label}: {text}");
        }
    }

    #[test]
    fn a_program_that_is_gone_from_the_kernel() {
        let mut gone = samples::program();
        gone.kernel = None;
        gone.maps.clear();
        insta::assert_snapshot!(program(&gone, false, None));
    }
}
