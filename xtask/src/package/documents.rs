//! Manual pages and completions, made by the programs that are installed, from the definitions that they parse with; and the
//! documents.

use super::tree;
use crate::run::{capture, run, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Where each shell looks for the completions of a command.
const COMPLETIONS: [(&str, &str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/", ""),
    ("zsh", "usr/share/zsh/vendor-completions/_", ""),
    ("fish", "usr/share/fish/vendor_completions.d/", ".fish"),
];

/// What is written, and examples: as they lie in the sources, so that links from one to another hold.
const TEXTS: [&str; 6] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "README.md",
    "docs",
    "examples",
    "sandbox/README.md",
];

/// Where they go.
const TEXTS_FOLDER: &str = "usr/share/doc/bpfman";

/// The documents, to which units and the configuration point.
pub(super) fn texts(root: &Path) -> Result<()> {
    TEXTS
        .iter()
        .try_for_each(|name| copy(&workspace().join(name), &root.join(TEXTS_FOLDER).join(name)))
}

/// Copies a file, or all that is in a folder.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return tree::install(from, to, 0o644);
    }
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// Pages and completions, for both names of bpfmanctl.
pub(super) fn install(root: &Path) -> Result<()> {
    let section1 = root.join("usr/share/man/man1");
    fs::create_dir_all(&section1).context("the folder of manual pages")?;
    for name in ["bpfmanctl", "bpfman"] {
        let program = root.join("usr/bin").join(name);
        run(Command::new(&program).arg("man").arg(&section1))?;
        for (shell, before, after) in COMPLETIONS {
            let script = capture(Command::new(&program).args(["completions", shell]))?;
            let path = root.join(format!("{before}{name}{after}"));
            tree::write(&path, script.as_bytes(), 0o644)?;
        }
    }
    let help = capture(
        // The values that the environment has here are nobody else's.
        Command::new(root.join("usr/bin/bpfmand"))
            .arg("--help")
            .env_clear(),
    )?;
    tree::write(
        &root.join("usr/share/man/man8/bpfmand.8"),
        page(&help).as_bytes(),
        0o644,
    )?;
    // As the policy of the distribution has it; without a time stamp, so that packages can be made again.
    for folder in ["usr/share/man/man1", "usr/share/man/man8"] {
        for entry in fs::read_dir(root.join(folder))? {
            run(Command::new("gzip")
                .args(["-9", "--no-name"])
                .arg(entry?.path()))?;
        }
    }
    Ok(())
}

/// The page of a program that has no command to write one: its help, in the sections that readers expect.
fn page(help: &str) -> String {
    let (what, rest) = help.split_once("\n\n").unwrap_or((help, ""));
    let (usage, options) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let usage = usage.trim_start_matches("Usage: ");
    let options = options.trim_start_matches("Options:\n");
    format!(
        ".TH BPFMAND 8 \"\" \"bpfman {}\"\n.SH NAME\nbpfmand \\- eBPF program manager\n.SH SYNOPSIS\n{}\n\
         .SH DESCRIPTION\n{}\n.SH OPTIONS\n.nf\n{}\n.fi\n.SH FILES\n/etc/bpfman/bpfman.toml\n.SH \"SEE ALSO\"\nbpfmanctl(1)\n",
        env!("CARGO_PKG_VERSION"),
        plain(usage),
        plain(what),
        plain(options)
    )
}

/// Text that roff prints as it is.
fn plain(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        // A line that begins so would be a request.
        match line.starts_with(['.', '\'']) {
            true => format!("\\&{line}"),
            false => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// Every file below a folder.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .flat_map(|path| match path.is_dir() {
                true => files(&path),
                false => vec![path],
            })
            .collect()
    }

    /// Documents that a text names: by links in a document, elsewhere by any word.
    fn named(file: &Path, text: &str) -> Vec<String> {
        let is_document = file.extension().is_some_and(|extension| extension == "md");
        let words: Vec<&str> = if is_document {
            text.split("](")
                .skip(1)
                .filter_map(|rest| rest.split([')', '#']).next())
                .filter(|link| !link.contains("://"))
                .collect()
        } else {
            text.split(|letter: char| letter.is_whitespace() || "(),`".contains(letter))
                .map(|word| word.trim_end_matches(['.', ':', ';']))
                .collect()
        };
        let documents = words.into_iter().filter(|word| word.ends_with(".md"));
        documents.map(str::to_owned).collect()
    }

    #[test]
    fn what_is_installed_points_to_documents_that_are() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        tree::units(root).unwrap();
        tree::configuration(root).unwrap();
        texts(root).unwrap();
        let mut checked = 0;
        for file in files(root) {
            let text = fs::read_to_string(&file).unwrap();
            for name in named(&file, &text) {
                let path = match name.strip_prefix('/') {
                    Some(absolute) => root.join(absolute),
                    None if file.extension().is_some_and(|extension| extension == "md") => {
                        file.parent().unwrap().join(&name)
                    }
                    None => panic!("{}: {name} says not where it is", file.display()),
                };
                assert!(path.is_file(), "{}: no {name}", file.display());
                checked += 1;
            }
        }
        assert!(checked > 30, "{checked}");
        let csi = root.join(TEXTS_FOLDER).join("examples/bpfman-csi.conf");
        for pointing in [csi, root.join(tree::CONFIGURATION)] {
            let text = fs::read_to_string(&pointing).unwrap();
            assert!(
                !named(&pointing, &text).is_empty(),
                "{}",
                pointing.display()
            );
        }
    }

    #[test]
    fn help_becomes_a_page() {
        let page = page(
            "Loads programs.\n\nUsage: bpfmand [OPTIONS]\n\nOptions:\n      --log <SPEC>\n          What\n          .x \\ 'y\n",
        );
        assert!(page.contains(".SH SYNOPSIS\nbpfmand [OPTIONS]\n"), "{page}");
        assert!(
            page.contains(".SH DESCRIPTION\nLoads programs.\n"),
            "{page}"
        );
        assert!(page.contains("\n.nf\n      \\-\\-log <SPEC>\n"), "{page}");
        assert_eq!(plain(".so x\n'a"), "\\&.so x\n\\&'a");
        assert_eq!(plain("a\\b"), "a\\eb");
    }
}
