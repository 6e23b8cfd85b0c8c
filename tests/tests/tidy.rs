//! Tests of the repository itself: rules that nobody would keep if nothing checked them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of one source file. Most stay under 300.
const FILE_LINES: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// All files below a folder of the project; what was built and what git keeps is left out.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", ".git", "corpus", "artifacts"].contains(&name.as_str()) {
                files(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&root(), &mut found);
    let rust = found
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let read: Vec<_> = rust
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    assert!(read.len() > 100, "the sources were not found");
    read
}

fn report(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

fn manifests() -> Vec<(PathBuf, String)> {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = workspace
        .split("members = [")
        .nth(1)
        .unwrap()
        .split(']')
        .next()
        .unwrap();
    let members: Vec<_> = members.split('"').skip(1).step_by(2).collect();
    assert!(members.len() >= 10, "members were not found");
    members
        .iter()
        .map(|member| {
            let path = root().join(member).join("Cargo.toml");
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

#[test]
fn every_member_inherits_the_lints() {
    let offences: Vec<_> = manifests()
        .into_iter()
        .filter(|(_, text)| !text.contains("[lints]\nworkspace = true"))
        .map(|(path, _)| format!("{}: no [lints] workspace = true", path.display()))
        .collect();
    report(&offences);
}

#[test]
fn versions_of_dependencies_stand_in_the_workspace_alone() {
    let mut offences = Vec::new();
    for (path, text) in manifests() {
        let dependencies = text.split("[").filter(|table| {
            table.starts_with("dependencies]")
                || table.starts_with("dev-dependencies]")
                || table.starts_with("build-dependencies]")
        });
        for line in dependencies
            .flat_map(str::lines)
            .filter(|line| line.contains('='))
        {
            if !line.contains("workspace = true") {
                offences.push(format!("{}: {line}", path.display()));
            }
        }
    }
    report(&offences);
}

#[test]
fn every_file_says_what_it_is_for_and_stays_readable() {
    let mut offences = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES {
            offences.push(format!(
                "{}: {lines} lines, {FILE_LINES} allowed",
                path.display()
            ));
        }
        let is_test_module =
            path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
        if !is_test_module && !text.lines().take(8).any(|line| line.starts_with("//!")) {
            offences.push(format!("{}: no //! header", path.display()));
        }
    }
    report(&offences);
}

#[test]
fn unsafe_code_is_allowed_with_a_reason_and_nowhere_at_length() {
    let mut offences = Vec::new();
    for (path, text) in sources() {
        let allowed = text.matches("unsafe_code").count();
        if allowed > 0 && !text.contains("reason =") {
            offences.push(format!(
                "{}: unsafe_code is allowed without a reason",
                path.display()
            ));
        }
        let blocks = text.matches("unsafe {").count();
        let reasons = text.matches("SAFETY:").count();
        if blocks > reasons {
            offences.push(format!(
                "{}: {blocks} unsafe blocks, {reasons} reasons",
                path.display()
            ));
        }
    }
    report(&offences);
}

#[test]
fn advisories_that_are_ignored_carry_their_reason() {
    let deny = fs::read_to_string(root().join("deny.toml")).unwrap();
    let ignored: Vec<_> = deny
        .lines()
        .filter(|line| line.contains("RUSTSEC-"))
        .collect();
    assert!(!ignored.is_empty());
    assert!(
        ignored.iter().all(|line| line.contains("reason = ")),
        "{ignored:?}"
    );
}

#[test]
fn folders_and_modules_are_named_after_what_is_in_them() {
    let offences: Vec<_> = sources()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| {
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let folder = path
                .parent()
                .unwrap()
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            ["utils", "util", "common", "misc", "types"]
                .iter()
                .any(|name| stem == *name || folder == *name)
        })
        .map(|path| format!("{}: a catch-all", path.display()))
        .collect();
    report(&offences);
}

#[test]
fn unfinished_work_is_not_committed_as_code() {
    // Put together here, so that this file does not find itself.
    let marks = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["todo", "!("].concat(),
        ["unimpl", "emented!("].concat(),
    ];
    let mut offences = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                offences.push(format!(
                    "{}:{}: {}",
                    path.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    report(&offences);
}

#[test]
fn the_changelog_begins_with_what_is_unreleased() {
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let headings: Vec<_> = changelog
        .lines()
        .filter(|line| line.starts_with('#'))
        .take(2)
        .collect();
    assert_eq!(headings, ["# Changelog", "## Unreleased"]);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut found = Vec::new();
    files(&root(), &mut found);
    let mut offences = Vec::new();
    for path in found
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
    {
        let text = fs::read_to_string(path).unwrap();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap();
            if !file.is_empty()
                && !file.contains("://")
                && !path.parent().unwrap().join(file).exists()
            {
                offences.push(format!("{}: {target}", path.display()));
            }
        }
    }
    report(&offences);
}
