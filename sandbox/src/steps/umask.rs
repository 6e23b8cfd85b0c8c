//! What a process creates is its own until it says otherwise.

use rustix::fs::Mode;

pub(crate) fn restrict() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}
