//! The running kernel's types: read when the first object needs them, since they cost 40 ms and 14 MB.

use super::error::CompileError;
use crate::limits;
use aya_obj::btf::Btf;
use std::io::Read as _;

/// Where the kernel shows its types.
pub const PATH: &str = "/sys/kernel/btf/vmlinux";

/// Gives the kernel's types to those objects that need them.
pub trait KernelBtf {
    /// The types, or why there are none.
    fn types(&mut self) -> Result<&Btf, CompileError>;

    /// The same as the kernel shows them. Only few objects need this, so it is read each time.
    fn section(&mut self) -> Result<Vec<u8>, CompileError>;
}

/// The types of the running kernel, kept once they were read.
#[derive(Debug, Default)]
pub struct RunningKernel {
    types: Option<Btf>,
}

impl RunningKernel {
    /// Gives the memory back; the next object that needs the types has them read again.
    pub fn forget(&mut self) {
        self.types = None;
    }

    /// Whether the types are in memory.
    pub fn is_loaded(&self) -> bool {
        self.types.is_some()
    }
}

impl KernelBtf for RunningKernel {
    fn types(&mut self) -> Result<&Btf, CompileError> {
        let types = match self.types.take() {
            Some(types) => types,
            None => {
                Btf::parse(&read()?, object::Endianness::Little).map_err(|error| failed(&error))?
            }
        };
        Ok(self.types.insert(types))
    }

    fn section(&mut self) -> Result<Vec<u8>, CompileError> {
        read()
    }
}

fn failed(cause: &dyn std::fmt::Display) -> CompileError {
    CompileError::KernelBtf(format!("{PATH}: {cause}"))
}

fn read() -> Result<Vec<u8>, CompileError> {
    let file = std::fs::File::open(PATH).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    file.take(limits::KERNEL_BTF_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    Ok(bytes)
}
