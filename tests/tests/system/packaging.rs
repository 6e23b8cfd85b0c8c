//! The Debian package, in a copy of this machine: installed, started as its unit says, upgraded, removed, purged. And the
//! unit: it allows what the processes need.

use bpfman_tests::fixture::Objects;
use bpfman_tests::overlay::Overlay;
use bpfman_tests::{require, wait};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// The packages that `cargo xtask test` has built: an older and a newer version of the same.
fn packages() -> Result<[PathBuf; 2], String> {
    let folder = std::env::var_os("BPFMAN_PACKAGES")
        .ok_or("no packages were built: `cargo xtask test` builds them")?;
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|error| error.to_string())?
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    // `~` comes before the end of a version for dpkg, and the shorter name after it here.
    found.sort_by_key(|path| std::cmp::Reverse(path.as_os_str().len()));
    found
        .try_into()
        .map_err(|found| format!("not an older and a newer package: {found:?}"))
}

/// Where the sources are; no virtual machine has them.
pub(crate) fn dist() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisor/dist");
    folder
        .is_dir()
        .then_some(folder)
        .ok_or_else(|| "the units are not in this machine".to_owned())
}

/// All values of a key of a unit, as systemd.syntax(7) joins them: in the order of the lines.
fn values(unit: &str, key: &str) -> Vec<String> {
    unit.lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(str::to_owned)
        .collect()
}

fn words(unit: &str, key: &str) -> Vec<String> {
    values(unit, key)
        .iter()
        .flat_map(|value| value.split_whitespace())
        .map(str::to_owned)
        .collect()
}

/// The mount unit, mounted as the service manager does.
fn mount_pins(overlay: &Overlay) {
    let unit = overlay.ok("cat /usr/lib/systemd/system/run-bpfman-fs.mount");
    let one = |key| values(&unit, key).remove(0);
    overlay.ok(&format!(
        "mkdir -p {at} && mount -t {kind} -o {options} {what} {at}",
        at = one("Where"),
        kind = one("Type"),
        options = one("Options"),
        what = one("What"),
    ));
}

/// The service, with what its unit says of files, capabilities and privileges; until it serves.
fn start(overlay: &Overlay) -> Child {
    let unit = overlay.ok("cat /usr/lib/systemd/system/bpfman.service");
    assert_eq!(values(&unit, "ProtectSystem"), ["strict"]);
    assert_eq!(values(&unit, "NoNewPrivileges"), ["yes"]);
    let mut writable = words(&unit, "ReadWritePaths");
    writable.extend(
        words(&unit, "RuntimeDirectory")
            .iter()
            .map(|name| format!("/run/{name}")),
    );
    let capabilities: String = words(&unit, "CapabilityBoundingSet")
        .iter()
        .map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect();
    let own: String = writable
        .iter()
        .map(|path| format!("mount --rbind {path} {path}\n"))
        .collect();
    let script = format!(
        "set -e\n{own}mount -o remount,bind,ro /\nmount -o remount,bind,ro /run\n\
         umask {}\nexec setpriv --bounding-set=-all{capabilities} --no-new-privs {} >/tmp/bpfmand.log 2>&1",
        values(&unit, "UMask")[0],
        values(&unit, "ExecStart")[0]
    );
    let child = overlay
        .command("unshare")
        .args(["--mount", "--propagation", "slave", "sh", "-c", &script])
        .spawn()
        .expect("nsenter");
    let serves = wait::until(Duration::from_secs(10), || {
        overlay
            .shell("bpfmanctl status")
            .status
            .success()
            .then_some(())
    });
    assert!(serves.is_some(), "{}", overlay.ok("cat /tmp/bpfmand.log"));
    child
}

fn stop(overlay: &Overlay, mut service: Child) {
    overlay.ok("kill $(pidof bpfmand | tr ' ' '\\n' | sort -n | head -1)");
    let status = service.wait().expect("the service");
    assert!(status.success(), "{status}");
}

/// Ids of the programs, as a member of the group `bpfman` sees them.
fn listed(overlay: &Overlay) -> Vec<u64> {
    let text = overlay
        .ok("setpriv --reuid=nobody --regid=bpfman --clear-groups bpfman program list -o json");
    let list: Value = serde_json::from_str(&text).expect("JSON");
    list["programs"]
        .as_array()
        .expect("programs")
        .iter()
        .map(|program| program["program_id"].as_u64().expect("an id"))
        .collect()
}

#[test]
fn packages_are_installed_started_upgraded_and_purged() {
    require!(packages());
    let [older, newer] = packages().expect("packages");
    let overlay = Overlay::new();
    overlay.bring(&older, "/tmp/older.deb");
    overlay.bring(&newer, "/tmp/newer.deb");
    overlay.bring(&Objects::new().object("counter"), "/tmp/counter.o");
    overlay.ok("dpkg --install /tmp/older.deb");
    for user in ["bpfman", "bpfman-loader", "bpfman-image", "bpfman-api"] {
        overlay.ok(&format!("getent passwd {user}"));
    }
    overlay.ok("test \"$(readlink /usr/bin/bpfman)\" = bpfmanctl");
    overlay.ok("bpfmanctl config check | grep -q 'bpfman.toml: in order'");
    for page in [
        "man1/bpfmanctl.1",
        "man1/bpfman-program-load-file.1",
        "man8/bpfmand.8",
    ] {
        overlay.ok(&format!(
            "zcat /usr/share/man/{page}.gz | grep -q '^\\.TH '"
        ));
    }
    for script in [
        "bash-completion/completions/bpfman",
        "zsh/vendor-completions/_bpfmanctl",
        "fish/vendor_completions.d/bpfmanctl.fish",
    ] {
        overlay.ok(&format!("grep -q tracepoint /usr/share/{script}"));
    }
    overlay.ok(
        "bash -c '. /usr/share/bash-completion/completions/bpfman; complete -p bpfman | grep -q _bpfman'",
    );
    overlay.ok(
        "cd /usr/share/doc/bpfman && test -f docs/operations.md -a -f examples/bpfman-csi.conf",
    );
    // What an administrator writes stays through the upgrade below.
    overlay.ok("echo '# ours' >> /etc/bpfman/bpfman.toml");

    mount_pins(&overlay);
    let service = start(&overlay);
    overlay.ok("bpfmanctl program load file /tmp/counter.o --programs tracepoint:tracepoint_count");
    let programs = listed(&overlay);
    assert_eq!(programs.len(), 1);
    let stranger = overlay
        .shell("setpriv --reuid=nobody --regid=nogroup --clear-groups bpfmanctl program list");
    assert!(!stranger.status.success(), "a stranger may use the socket");

    // The new files are there while the old service runs; then it is restarted. The program is the same all the time.
    overlay.ok("dpkg --install /tmp/newer.deb");
    assert_eq!(listed(&overlay), programs);
    overlay.ok("grep -q '# ours' /etc/bpfman/bpfman.toml");
    stop(&overlay, service);
    let service = start(&overlay);
    assert_eq!(listed(&overlay), programs);
    overlay.ok("bpfmanctl doctor");

    stop(&overlay, service);
    overlay.ok("dpkg --remove bpfman");
    overlay.ok("test -e /var/lib/bpfman/store -a -e /run/bpfman/fs/prog_*");
    overlay.ok("dpkg --purge bpfman");
    let left: Vec<String> = overlay
        .changed()
        .into_iter()
        .filter(|path| path.contains("bpfman"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!overlay.ok("ls /run").contains("bpfman"));
}

/// System calls of a set of `systemd-analyze syscall-filter`, sets in it resolved.
fn system_calls(word: &str) -> BTreeSet<String> {
    if !word.starts_with('@') {
        return BTreeSet::from([word.to_owned()]);
    }
    let output = Command::new("systemd-analyze")
        .args(["syscall-filter", word])
        .output()
        .expect("systemd-analyze");
    assert!(output.status.success(), "there is no set {word}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .skip(1)
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .flat_map(system_calls)
        .collect()
}

/// Every `"syscall": NAME` of a policy.
fn allowed(policy: &Value, found: &mut BTreeSet<String>) {
    match policy {
        Value::Object(fields) => {
            found.extend(
                fields
                    .get("syscall")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            fields.values().for_each(|value| allowed(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| allowed(value, found)),
        _ => {}
    }
}

#[test]
fn packaging_units_allow_what_the_processes_need() {
    require!(dist());
    let dist = dist().expect("units");
    let unit = std::fs::read_to_string(dist.join("bpfman.service")).expect("the unit");

    let mut permitted = BTreeSet::new();
    for value in values(&unit, "SystemCallFilter") {
        let (removed, list) = value
            .strip_prefix('~')
            .map_or((false, value.as_str()), |list| (true, list));
        for call in list.split_whitespace().flat_map(system_calls) {
            if removed {
                permitted.remove(&call);
            } else {
                permitted.insert(call);
            }
        }
    }
    let mut needed = BTreeSet::new();
    for folder in ["api-worker", "image-worker", "loader-worker", "supervisor"] {
        for entry in
            std::fs::read_dir(dist.join("../..").join(folder).join("sandbox")).expect(folder)
        {
            read_policy(&entry.expect("an entry").path(), &mut needed);
        }
    }
    for entry in std::fs::read_dir(dist.join("../../sandbox/base")).expect("base policies") {
        read_policy(&entry.expect("an entry").path(), &mut needed);
    }
    assert!(needed.len() > 100, "{needed:?}");
    // Names that this version of systemd does not know are newer than its sets; they are none that it could forbid by name.
    let forbidden: Vec<_> = needed.difference(&permitted).collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");

    let capabilities: BTreeSet<String> =
        words(&unit, "CapabilityBoundingSet").into_iter().collect();
    let mask = supervisor::spawner::permitted_mask();
    for capability in capability_names(mask) {
        // Whoever has it can trace every process: a drop-in of those who want it allows it (docs/operations.md).
        let is_installed = capability != "CAP_SYS_PTRACE";
        let is_allowed = capabilities.contains(&capability);
        assert_eq!(is_allowed, is_installed, "{capability}");
    }
}

fn read_policy(path: &Path, needed: &mut BTreeSet<String>) {
    if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        let text = std::fs::read_to_string(path).expect("a policy");
        allowed(&serde_json::from_str(&text).expect("JSON"), needed);
    }
}

/// Names of the capabilities in a mask, by capsh(1)'s sibling in util-linux.
fn capability_names(mask: u64) -> Vec<String> {
    let output = Command::new("setpriv")
        .args(["--list-caps"])
        .output()
        .expect("setpriv");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .enumerate()
        .filter(|(bit, _)| mask & (1 << bit) != 0)
        .map(|(_, name)| format!("CAP_{}", name.trim().to_uppercase()))
        .collect()
}

/// What `systemd-analyze security` holds against a unit is set there for a reason, or named among what is not.
fn assert_reasons_for_exemptions(unit: &Path) {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--json=short"])
        .arg(unit)
        .output()
        .expect("systemd-analyze");
    let rows: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = std::fs::read_to_string(unit).expect("the unit");
    let mut counted = 0;
    for row in rows.as_array().expect("rows") {
        if row["exposure"].is_null() {
            continue;
        }
        let name = row["name"].as_str().expect("a name");
        // `User=/DynamicUser=`, `SystemCallFilter=~@debug`
        let (directive, value) = name.split_once('=').unwrap_or((name, ""));
        let wanted = match directive {
            "SystemCallFilter" => value.trim_start_matches('~'),
            directive => directive,
        };
        assert!(text.contains(wanted), "no word about {name}");
        counted += 1;
    }
    assert!(counted > 10, "{rows}");
}

#[test]
fn packaging_units_are_sound_and_well_rated() {
    require!(dist());
    let dist = dist().expect("units");
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=42"])
        .arg(dist.join("bpfman.service"))
        .output()
        .expect("systemd-analyze");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_reasons_for_exemptions(&dist.join("bpfman.service"));
    for unit in ["bpfman.service", "bpfman.socket", "run-bpfman-fs.mount"] {
        let output = Command::new("systemd-analyze")
            .arg("verify")
            .arg(dist.join(unit))
            .output()
            .expect("systemd-analyze");
        let complaints: Vec<String> = String::from_utf8_lossy(&output.stderr)
            .lines()
            // The package is not installed on the machine that builds.
            .filter(|line| !line.contains("is not executable") && !line.contains("man "))
            .map(str::to_owned)
            .collect();
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}
