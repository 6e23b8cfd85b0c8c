//! Completions, in the shells that they are for: a command line that was begun is completed.

use bpfman_tests::binaries::program;
use bpfman_tests::require;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// The shell, if this machine has it.
fn shell(name: &str) -> Result<(), String> {
    match Path::new("/usr/bin").join(name).exists() {
        true => Ok(()),
        false => Err(format!("{name} is not in this machine: cargo xtask setup")),
    }
}

/// A directory with the completions of all shells.
fn written() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let status = Command::new(program("bpfmanctl"))
        .arg("completions")
        .arg(directory.path())
        .status();
    assert!(status.expect("bpfmanctl").success());
    directory
}

/// What a script says in a shell that reads nothing of the user's.
fn said(shell: &str, flags: &[&str], script: &str, directory: &Path) -> String {
    let output = Command::new(shell)
        .args(flags)
        .arg(script)
        .current_dir(directory)
        .env("HOME", directory)
        .env("TERM", "dumb")
        .output()
        .expect("the shell");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn bash_completes() {
    require!(shell("bash"));
    let completed = |words: &str| {
        let script = format!(
            "source bpfmanctl.bash; complete -p bpfmanctl >/dev/null || exit 1; COMP_WORDS=({words}); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _bpfmanctl bpfmanctl \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        said("bash", &["--norc", "-c"], &script, written().path())
    };
    assert_eq!(completed("bpfmanctl program lo"), "load\n");
    assert_eq!(completed("bpfmanctl link attach tra"), "tracepoint\n");
    assert_eq!(
        completed("bpfmanctl program list --meta"),
        "--metadata-selector\n"
    );
    assert_eq!(completed("bpfmanctl program list -o js"), "json\n");
}

#[test]
fn fish_completes() {
    require!(shell("fish"));
    let completed = |line: &str| {
        let script = format!("source bpfmanctl.fish; complete -C '{line}'");
        let said = said("fish", &["--no-config", "-c"], &script, written().path());
        let word = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
        said.lines().map(word).collect::<Vec<_>>()
    };
    assert_eq!(completed("bpfmanctl program lo"), ["load"]);
    assert_eq!(completed("bpfmanctl link attach tra"), ["tracepoint"]);
    assert_eq!(
        completed("bpfmanctl program list --meta"),
        ["--metadata-selector"]
    );
    assert_eq!(completed("bpfmanctl program list -o js"), ["json"]);
}

/// Its completions work in an editor of lines alone: a shell on a terminal of its own is typed at.
#[test]
fn zsh_completes() {
    require!(shell("zsh"));
    let completed = |line: &str| {
        let script = format!(
            "zmodload zsh/zpty; zpty shell zsh -f -i; \
             zpty -w shell 'PS1= PS2= RPS1=; unsetopt zle_bracketed_paste; fpath=($PWD $fpath); autoload -U compinit; compinit -u -D; \
             bpfmanctl() {{ print -r -- \"ran<$*>\"; exit }}'; \
             zpty -w shell '{line}'$'\\t'; zpty -r shell said '*ran<[^$]*>*'; print -r -- $said"
        );
        let said = said("zsh", &["-f", "-c"], &script, written().path());
        let ran = said.rsplit_once("ran<").map(|(_, ran)| ran);
        let ran = ran.and_then(|ran| ran.split_once('>'));
        ran.unwrap_or_else(|| panic!("{said}")).0.to_owned()
    };
    assert_eq!(completed("bpfmanctl program lo"), "program load");
    assert_eq!(
        completed("bpfmanctl link attach tra"),
        "link attach tracepoint"
    );
    assert_eq!(
        completed("bpfmanctl program list --meta"),
        "program list --metadata-selector"
    );
}
