//! `probe-target`: for each line on its input calls two functions, passes two statically defined probes, and writes what their
//! semaphores are. The probes are as `<sys/sdt.h>` makes them.

#![allow(
    unsafe_code,
    reason = "a probe is a note that only assembly can write; its semaphore is changed by the kernel"
)]

use std::arch::asm;
use std::hint::black_box;
use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicU16, Ordering};

/// How often a tracer asked for the probe `guarded`.
#[unsafe(link_section = ".probes")]
static SEMAPHORE: AtomicU16 = AtomicU16::new(0);

/// A probe `bpfman_tests:$name`, with the semaphore at this symbol or none.
macro_rules! probe {
    ($name:literal, $semaphore:literal $(, $symbol:ident)?) => {
        // SAFETY: the code is one `nop`; the rest are notes about it.
        unsafe {
            asm!(
                "990: nop",
                ".pushsection .note.stapsdt, \"\", @note",
                ".balign 4",
                ".4byte 992f - 991f, 994f - 993f, 3",
                "991: .asciz \"stapsdt\"",
                "992: .balign 4",
                "993: .8byte 990b",
                ".8byte _.stapsdt.base",
                concat!(".8byte ", $semaphore),
                ".asciz \"bpfman_tests\"",
                concat!(".asciz \"", $name, "\""),
                ".asciz \"\"",
                "994: .balign 4",
                ".popsection",
                ".ifndef _.stapsdt.base",
                ".pushsection .stapsdt.base, \"aGR\", @progbits, .stapsdt.base, comdat",
                ".weak _.stapsdt.base",
                ".hidden _.stapsdt.base",
                "_.stapsdt.base: .space 1",
                ".size _.stapsdt.base, 1",
                ".popsection",
                ".endif",
                $( $symbol = sym $symbol, )?
                options(nomem, nostack, preserves_flags),
            );
        }
    };
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn probe_target_first(value: u64) -> u64 {
    black_box(value) + 1
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn probe_target_second(value: u64) -> u64 {
    black_box(value) + 2
}

/// The probe stands at two places of this function.
#[inline(never)]
fn visit() {
    probe!("visited", "0");
    if SEMAPHORE.load(Ordering::Relaxed) > 0 {
        probe!("guarded", "{SEMAPHORE}", SEMAPHORE);
    }
    probe!("visited", "0");
}

fn main() -> io::Result<()> {
    let mut output = io::stdout();
    for line in io::stdin().lock().lines() {
        line?;
        black_box(probe_target_first(black_box(1)));
        black_box(probe_target_second(black_box(2)));
        visit();
        writeln!(output, "{}", SEMAPHORE.load(Ordering::Relaxed))?;
        output.flush()?;
    }
    Ok(())
}
