//! `bpfmanctl status` and `version`: what the service says about itself.

use bpfman_tests::instance::Instance;
use bpfman_tests::process::Status;

const ROLES: [&str; 5] = ["spawner", "supervisor", "loader", "image", "api"];

#[test]
fn status_names_every_process_as_proc_has_it() {
    let instance = Instance::start();
    let rows = instance.status();
    let mut roles: Vec<&str> = rows.iter().map(|row| row.role.as_str()).collect();
    roles.sort_unstable();
    let mut expected = ROLES;
    expected.sort_unstable();
    assert_eq!(roles, expected);
    for row in &rows {
        let status = Status::of(row.pid);
        assert_eq!(u64::from(row.uid), status.numbers("Uid")[1], "{}", row.role);
        assert_eq!(row.cap_effective, status.set("CapEff"), "{}", row.role);
        assert_eq!(row.cap_permitted, status.set("CapPrm"), "{}", row.role);
        assert_eq!(
            u64::from(row.seccomp_mode),
            status.number("Seccomp"),
            "{}",
            row.role
        );
        assert_eq!(
            row.no_new_privs,
            status.number("NoNewPrivs") == 1,
            "{}",
            row.role
        );
        assert!(row.memory > 0, "{}", row.role);
        assert_eq!(row.restarts, 0, "{}", row.role);
    }
}

#[test]
fn status_is_printed_as_table_and_json() {
    let instance = Instance::start();
    let text = instance.ctl(&["status"]).ok();
    for role in ROLES {
        assert!(
            text.lines().any(|line| line.starts_with(role)),
            "no {role} in\n{text}"
        );
    }
    let loader = text
        .lines()
        .find(|line| line.starts_with("loader"))
        .unwrap_or_default();
    for capability in ["bpf", "perfmon", "net_admin"] {
        assert!(loader.to_lowercase().contains(capability), "{loader}");
    }
    let json = instance.ctl(&["status", "-o", "json"]).json();
    assert!(json.to_string().contains("\"loader\""), "{json}");
}

#[test]
fn version_needs_no_service() {
    let folder = std::env::temp_dir();
    let text = bpfman_tests::ctl::ctl(&folder, &["version"]).ok();
    assert!(
        text.contains("Version:") && text.contains(ipc::build::VERSION),
        "{text}"
    );
}
