//! How far a download is: a bar on a terminal, lines elsewhere.

use super::waiting::Counted;
use super::{Place, UNSIGNED};
use bpfman_tests::binaries::program;
use bpfman_tests::registry::available;
use bpfman_tests::require;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

#[test]
fn a_download_is_shown_by_a_bar_on_a_terminal_and_by_lines_elsewhere() {
    require!(available());
    let place = Place::new(UNSIGNED);
    let registry = place.registry("", "");
    place.copy(&place.layout(), &registry.image("acme/counter:v1"), &[]);
    let slow = place.instance.netns().inside(|| Counted::before(&registry));
    slow.in_halves.store(true, Ordering::Relaxed);
    let image = format!("{}/acme/counter:v1", slow.address);
    let pull = ["image", "pull", &image, "--pull-policy", "Always"];

    let run = place.instance.ctl(&pull);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(!lines.is_empty(), "nothing was said of a slow download");
    for line in lines {
        let (what, bytes) = line.split_once(' ').expect("two words");
        assert!(what.starts_with("sha256:") && what.len() == 19, "{line}");
        let (done, total) = bytes
            .strip_suffix(" bytes")
            .and_then(|bytes| bytes.split_once('/'))
            .expect("bytes of bytes");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        assert!(number(done) <= number(total), "{line}");
    }
    assert!(run.ok().starts_with("pulled: "));

    let (shown, said) = on_a_terminal(&place, &pull);
    assert!(
        said.starts_with("pulled: ") && !said.contains('\u{1b}'),
        "{said:?}"
    );
    assert!(
        shown.contains("sha256:") && shown.contains(" [") && shown.contains('\u{1b}'),
        "{shown:?}"
    );
    // Nothing of it is left on the line.
    assert!(
        shown.ends_with("\u{1b}[2K") || shown.ends_with('\r'),
        "{shown:?}"
    );
    assert!(!shown.contains(" bytes"), "{shown:?}");
}

/// Runs `bpfmanctl` with a terminal as its error stream: what that showed, and the output.
fn on_a_terminal(place: &Place, arguments: &[&str]) -> (String, String) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("granted");
    unlockpt(&ours).expect("unlocked");
    let name = ptsname(&ours, Vec::new()).expect("its name");
    let name = name.into_string().expect("text");
    let theirs = File::options()
        .read(true)
        .write(true)
        .open(name)
        .expect("its other end");
    let size = Winsize {
        ws_row: 24,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&theirs, size).expect("a size");
    let mut child = Command::new(program("bpfmanctl"))
        .arg("--runtime-dir")
        .arg(place.instance.runtime_dir())
        .args(arguments)
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(theirs)
        .spawn()
        .expect("started");
    let mut shown = Vec::new();
    // Ends with an error when nobody has the other end any more.
    let _ = File::from(ours).read_to_end(&mut shown);
    let mut said = String::new();
    let mut output = child.stdout.take().expect("its output");
    output.read_to_string(&mut said).expect("text");
    assert!(child.wait().expect("waited").success(), "{said}");
    (String::from_utf8_lossy(&shown).into_owned(), said)
}
