//! `uprobe-target`: calls the functions that probes attach to, once for each line of its input, and answers each line.

#![allow(
    unsafe_code,
    reason = "the functions need plain names in the symbol table, and one of them known instructions"
)]

use std::arch::global_asm;
use std::io::{BufRead, Write};

/// What probes attach to.
// SAFETY: no other function of this program has the name.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn bpfman_probe_here(number: u64) -> u64 {
    std::hint::black_box(number) + 1
}

// A function in which an instruction begins four bytes behind the first, on every machine: probes attach there too.
global_asm!(
    ".text",
    ".globl bpfman_probe_inside",
    ".type bpfman_probe_inside, %function",
    ".balign 16",
    "bpfman_probe_inside:",
    "nop",
    ".balign 4, 0x90",
    "nop",
    "ret",
    ".size bpfman_probe_inside, . - bpfman_probe_inside",
);

// SAFETY: the function is the one above: it takes nothing, changes nothing and returns.
unsafe extern "C" {
    safe fn bpfman_probe_inside();
}

fn main() -> std::io::Result<()> {
    let mut number = 0;
    for line in std::io::stdin().lock().lines() {
        line?;
        number = bpfman_probe_here(number);
        bpfman_probe_inside();
        println!("{number}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
