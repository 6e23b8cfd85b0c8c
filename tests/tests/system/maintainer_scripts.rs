//! What the scripts of the Debian package do with the units: in a copy of this machine, with a package of the same scripts and
//! units and no programs. The service manager is one that notes what it is asked for; whether a unit is enabled or masked the
//! real systemctl says, from the links below /etc.

use crate::packaging::dist;
use bpfman_tests::overlay::Overlay;
use bpfman_tests::require;

/// Stands for systemctl(1) where it would need a running service manager: a unit that runs is a file in /tmp/runs, starts
/// are counted, and those of the service fail while there is /tmp/broken.
const SYSTEMCTL: &str = r#"#!/bin/sh
case "$1" in --root=*) exec /usr/bin/systemctl "$@" ;; esac
verb= units=
for word; do
	case "$word" in
	-*) ;;
	*) if [ "$verb" ]; then units="$units $word"; else verb=$word; fi ;;
	esac
done
start() {
	rm -f /tmp/runs/$1
	if [ -e /tmp/broken -a $1 = bpfman.service ] || [ "$(readlink /etc/systemd/system/$1)" = /dev/null ]; then
		echo "Job for $1 failed." >&2
		exit 1
	fi
	echo >> /tmp/runs/$1
	echo >> /tmp/starts/$1
}
case $verb in
daemon-reload) ;;
is-enabled) exec /usr/bin/systemctl --root=/ is-enabled $units ;;
is-active) for unit in $units; do test -e /tmp/runs/$unit || exit 3; done ;;
start) for unit in $units; do test -e /tmp/runs/$unit || start $unit; done ;;
restart) for unit in $units; do start $unit; done ;;
try-restart) for unit in $units; do test ! -e /tmp/runs/$unit || start $unit; done ;;
stop) for unit in $units; do rm -f /tmp/runs/$unit; done ;;
*) echo "what is $verb?" >&2; exit 64 ;;
esac
"#;

const UNITS: [&str; 2] = ["bpfman.socket", "bpfman.service"];

/// A machine with the package's files in /tmp/package, from which versions of it are made.
struct Machine {
    overlay: Overlay,
    version: u32,
}

impl Machine {
    fn new() -> Self {
        let overlay = Overlay::new();
        let units = dist().expect("units");
        let scripts = units.join("../../packaging/debian");
        overlay.ok(
            "cd /tmp && mkdir runs starts package && cd package && mkdir -p DEBIAN usr/lib/systemd/system \
             usr/lib/sysusers.d usr/lib/tmpfiles.d && mkdir -p /run/systemd/system && rm -f /usr/sbin/policy-rc.d",
        );
        for script in ["preinst", "postinst", "prerm", "postrm"] {
            let to = format!("/tmp/package/DEBIAN/{script}");
            overlay.bring(&scripts.join(script), &to);
            overlay.ok(&format!("chmod 0755 {to}"));
        }
        for (file, to) in [
            ("bpfman.service", "systemd/system/bpfman.service"),
            ("bpfman.socket", "systemd/system/bpfman.socket"),
            ("bpfman.sysusers", "sysusers.d/bpfman.conf"),
            ("bpfman.tmpfiles", "tmpfiles.d/bpfman.conf"),
        ] {
            overlay.bring(&units.join(file), &format!("/tmp/package/usr/lib/{to}"));
        }
        let name = "/usr/local/sbin/systemctl";
        overlay.ok(&format!(
            "cat > {name} <<'END'\n{SYSTEMCTL}END\nchmod 0755 {name}"
        ));
        Self {
            overlay,
            version: 0,
        }
    }

    /// What dpkg says; it succeeds, and the package is as it was wanted.
    #[track_caller]
    fn dpkg(&self, arguments: &str, wanted: &str) -> String {
        let said = self.overlay.ok(&format!("{PATH}; dpkg {arguments} 2>&1"));
        let status = self.overlay.shell("dpkg-query -W -f '${Status}' bpfman");
        assert_eq!(String::from_utf8_lossy(&status.stdout), wanted, "{said}");
        said
    }

    /// Installs a version that is newer than all before.
    #[track_caller]
    fn install(&mut self) -> String {
        self.version += 1;
        self.overlay.ok(&format!(
            "cd /tmp && printf 'Package: bpfman\\nVersion: {}\\nArchitecture: all\\nMaintainer: x <x@x.invalid>\\n\
             Description: scripts and units\\n' > package/DEBIAN/control && \
             dpkg-deb --root-owner-group --build -Znone package p.deb",
            self.version
        ));
        self.dpkg("--install /tmp/p.deb", "install ok installed")
    }

    #[track_caller]
    fn remove(&self) {
        self.dpkg("--remove bpfman", "deinstall ok config-files");
        self.assert_units(None, [false; 2]);
    }

    /// What an administrator says to the service manager about what is enabled.
    #[track_caller]
    fn administrator(&self, words: &str) {
        self.overlay
            .ok(&format!("/usr/bin/systemctl --root=/ {words}"));
    }

    /// Whether the units are enabled, if they are there, and whether socket and service run.
    #[track_caller]
    fn assert_units(&self, enabled: Option<[&str; 2]>, run: [bool; 2]) {
        for (position, unit) in UNITS.into_iter().enumerate() {
            let runs = self.overlay.shell(&format!("test -e /tmp/runs/{unit}"));
            assert_eq!(runs.status.success(), run[position], "{unit} runs");
            let Some(enabled) = enabled else { continue };
            let output = self
                .overlay
                .shell(&format!("/usr/bin/systemctl --root=/ is-enabled {unit}"));
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(said.trim(), enabled[position], "{unit}");
        }
    }

    /// How often the service was started so far.
    fn starts(&self) -> usize {
        self.overlay.ok("cat /tmp/starts/bpfman.service").len()
    }
}

const PATH: &str = "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const ENABLED: Option<[&str; 2]> = Some(["enabled"; 2]);
const DISABLED: Option<[&str; 2]> = Some(["disabled"; 2]);

#[test]
fn packaging_scripts_do_what_the_administrator_wants() {
    require!(dist());
    let mut machine = Machine::new();
    let said = machine.install();
    machine.assert_units(ENABLED, [true; 2]);
    assert!(!said.contains("was not started"), "{said}");

    // An upgrade restarts what runs, and the socket stays, at which clients wait.
    let before = machine.starts();
    machine.install();
    machine.assert_units(ENABLED, [true; 2]);
    assert_eq!(machine.starts(), before + 1);
    // What was stopped stays so.
    machine.overlay.ok("rm /tmp/runs/*");
    machine.install();
    machine.assert_units(ENABLED, [false; 2]);
    // Disabled and yet started by hand.
    machine.administrator("disable bpfman.socket bpfman.service");
    machine.overlay.ok("echo >> /tmp/runs/bpfman.service");
    let before = machine.starts();
    machine.install();
    machine.assert_units(DISABLED, [false, true]);
    assert_eq!(machine.starts(), before + 1);
    // It is disabled after a removal, too.
    machine.remove();
    let before = machine.starts();
    machine.install();
    machine.assert_units(DISABLED, [false; 2]);
    assert_eq!(machine.starts(), before);

    // What is enabled comes back after a removal.
    machine.administrator("enable bpfman.socket bpfman.service");
    machine.remove();
    machine.install();
    machine.assert_units(ENABLED, [true; 2]);

    // Masked: nothing starts it, and nothing but a word comes of that.
    machine.overlay.ok("rm /tmp/runs/*");
    machine.administrator("mask bpfman.service");
    let before = machine.starts();
    machine.install();
    machine.remove();
    machine.install();
    machine.assert_units(Some(["enabled", "masked"]), [true, false]);
    assert_eq!(machine.starts(), before);
    machine.administrator("unmask bpfman.service");
    machine.remove();
    machine.install();
    machine.assert_units(ENABLED, [true; 2]);
}

#[test]
fn packaging_scripts_succeed_where_the_service_does_not_start() {
    require!(dist());
    let mut machine = Machine::new();
    machine.install();
    machine.overlay.ok("touch /tmp/broken");
    for _ in 0..2 {
        let said = machine.install();
        for words in [
            "was not started",
            "bpfmanctl config check",
            "systemctl restart bpfman.service",
        ] {
            assert!(said.contains(words), "{said}");
        }
        machine.assert_units(ENABLED, [true, false]);
        machine.remove();
        // The next one is a new installation.
    }
    // The pins, and a volume that a pod has.
    machine.overlay.ok(
        "cd /run/bpfman && mkdir -p fs csi/fs/volume /tmp/pod && mount -t bpf bpf fs && \
         mount -t tmpfs tmpfs csi/fs/volume && touch csi/fs/volume/map && mount --bind csi/fs/volume /tmp/pod",
    );
    machine.dpkg("--purge bpfman", "");
    machine.overlay.ok("test -e /tmp/pod/map");
    let left: Vec<String> = machine
        .overlay
        .changed()
        .into_iter()
        .filter(|path| path.contains("bpfman"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!machine.overlay.ok("ls -R /run").contains("bpfman"));

    // Where no service manager runs, as in an image that is being made, units are enabled and not started.
    machine
        .overlay
        .ok("rm -r /tmp/broken /run/systemd/system /tmp/starts/*");
    machine.install();
    machine.assert_units(ENABLED, [false; 2]);
    assert_eq!(machine.overlay.ok("ls /tmp/starts"), "");
}
