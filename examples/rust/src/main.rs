//! `example-traffic PIN`: packets and bytes by slot, from a pinned map, by aya.
//!
//! The application loads nothing and holds no capability: the file mode of the pin decides. aya opens pins for reading and
//! writing, so it needs both (`--maps-mode 0660 --maps-group GROUP`).

use anyhow::{Context, Result, bail};
use aya::Pod;
use aya::maps::{Map, MapData, PerCpuArray};

/// `struct traffic` of the program: the layout is the contract between program and application.
#[derive(Clone, Copy)]
#[repr(C)]
struct Traffic {
    packets: u64,
    bytes: u64,
}

#[allow(
    unsafe_code,
    reason = "aya asks whether every pattern of bits is a value of the type"
)]
// SAFETY: two integers without padding between or behind them.
unsafe impl Pod for Traffic {}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(pin), None) = (arguments.next(), arguments.next()) else {
        bail!("usage: example-traffic PIN");
    };
    let map = MapData::from_pin(&pin).with_context(|| format!("cannot open {pin}"))?;
    let traffic: PerCpuArray<_, Traffic> = Map::from_map_data(map)?
        .try_into()
        .with_context(|| format!("{pin} is not an array for each CPU"))?;
    for slot in 0..traffic.len() {
        let cpus = traffic.get(&slot, 0)?;
        let packets: u64 = cpus.iter().map(|cpu| cpu.packets).sum();
        let bytes: u64 = cpus.iter().map(|cpu| cpu.bytes).sum();
        println!("{slot} {packets} {bytes}");
    }
    Ok(())
}
