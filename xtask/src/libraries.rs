//! Which libraries an executable needs.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// The libraries and the loader that an executable needs, by the paths at which its loader looks for them.
pub(crate) fn shared_libraries(executable: &Path) -> Result<Vec<String>> {
    let output = Command::new("ldd")
        .arg(executable)
        .output()
        .context("cannot start ldd")?;
    parse_ldd(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("libraries of {}", executable.display()))
}

fn parse_ldd(text: &str) -> Result<Vec<String>> {
    let mut libraries = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let path = match line.split_once(" => ") {
            Some((name, "not found")) => bail!("{name} is not installed"),
            Some((_, target)) => target,
            None => line,
        };
        if let Some(path) = path.split(" (").next().filter(|path| path.starts_with('/')) {
            libraries.push(path.to_owned());
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_output_gives_paths_and_the_loader() {
        let text = "\tlinux-vdso.so.1 (0x7ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(
            parse_ldd(text).unwrap(),
            [
                "/lib/x86_64-linux-gnu/libc.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
        assert!(parse_ldd("\tlibgone.so => not found\n").is_err());
        assert!(parse_ldd("\tstatically linked\n").unwrap().is_empty());
    }
}
