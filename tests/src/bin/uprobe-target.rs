//! `uprobe-target`: calls a function that probes attach to, once for each line of its input, and answers each line.

#![allow(
    unsafe_code,
    reason = "the function needs its plain name in the symbol table"
)]

use std::io::{BufRead, Write};

/// What probes attach to.
// SAFETY: no other function of this program has the name.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn bpfman_probe_here(number: u64) -> u64 {
    std::hint::black_box(number) + 1
}

fn main() -> std::io::Result<()> {
    let mut number = 0;
    for line in std::io::stdin().lock().lines() {
        line?;
        number = bpfman_probe_here(number);
        println!("{number}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
