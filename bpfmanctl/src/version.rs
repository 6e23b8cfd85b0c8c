//! Which build this is; the build script finds out.

/// The lines of `version`, labels padded to one width.
pub(crate) fn lines() -> String {
    let platform = format!("{}/{}", std::env::consts::OS, architecture());
    let rows = [
        ("Version:", ipc::build::VERSION),
        ("Git commit:", env!("BPFMAN_GIT_COMMIT")),
        ("Git branch:", env!("BPFMAN_GIT_BRANCH")),
        ("Git state:", env!("BPFMAN_GIT_STATE")),
        ("Build date:", env!("BPFMAN_BUILD_DATE")),
        ("Rust version:", env!("BPFMAN_RUST_VERSION")),
        ("Platform:", &platform),
    ];
    rows.iter()
        .map(|(label, value)| format!("{label:<13} {value}\n"))
        .collect()
}

/// The names that image platforms use.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_line_says_something() {
        let lines = super::lines();
        assert_eq!(lines.lines().count(), 7);
        for line in lines.lines() {
            let (label, value) = line.split_at(14);
            assert!(label.trim_end().ends_with(':'), "{line}");
            assert!(!value.trim().is_empty(), "{line}");
        }
        assert!(lines.starts_with(&format!("Version:      {}\n", ipc::build::VERSION)));
    }
}
