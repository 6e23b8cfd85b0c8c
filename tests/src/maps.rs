//! Reading counters as an application does: from the pin, without any privilege.

use crate::binaries::program;
use std::path::Path;
use std::process::Command;

/// A user without any right.
pub const NOBODY: u32 = 65534;

/// Reads every 64-bit number of a pinned map as a user: entries in the order of their keys, copies of CPUs added up.
///
/// # Errors
///
/// What the reader said.
pub fn read_as(uid: u32, pin: &Path) -> Result<Vec<u64>, String> {
    let output = Command::new(program("map-reader"))
        .arg(uid.to_string())
        .arg(pin)
        .output()
        .expect("cannot start map-reader");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect())
}

/// One number of a map that everybody may read, read by somebody without any right.
#[track_caller]
pub fn counter(pin: &Path, index: usize) -> u64 {
    match read_as(NOBODY, pin) {
        Ok(numbers) => numbers[index],
        Err(error) => panic!("{}: {error}", pin.display()),
    }
}
