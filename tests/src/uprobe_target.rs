//! The process that uprobes attach to.

use crate::binaries::program;
use object::{Object, ObjectSegment, ObjectSymbol, Symbol};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running `uprobe-target` or other program that answers lines, whose functions are called on request; it ends with this.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    process: Child,
}

impl Target {
    /// Starts one.
    pub fn start() -> Self {
        let path = program("uprobe-target");
        Self::run(&path, &path, &[])
    }

    /// Starts another program, by a command that becomes it.
    pub fn run(path: &Path, command: &Path, arguments: &[&OsStr]) -> Self {
        let process = Command::new(command)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cannot start the target");
        Self {
            path: path.to_owned(),
            process,
        }
    }

    /// The executable, as an argument.
    pub fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Calls its functions and waits until they have returned, each time.
    pub fn call(&mut self, times: usize) {
        let input = self.process.stdin.as_mut().expect("its input");
        let mut output = BufReader::new(self.process.stdout.as_mut().expect("its output"));
        for _ in 0..times {
            input.write_all(b"\n").expect("write");
            let mut line = String::new();
            output.read_line(&mut line).expect("an answer");
        }
    }

    /// Bytes of a function.
    pub fn size(&self, function: &str) -> u64 {
        let content = std::fs::read(self.path()).expect("the executable");
        let file = object::File::parse(&*content).expect("an ELF file");
        symbol(&file, function).size()
    }

    /// Where in the file a function begins: its address in the symbol table, less where its segment is mapped, plus where
    /// the segment lies in the file.
    pub fn file_offset(&self, function: &str) -> u64 {
        let content = std::fs::read(self.path()).expect("the executable");
        let file = object::File::parse(&*content).expect("an ELF file");
        let address = symbol(&file, function).address();
        file.segments()
            .find_map(|segment| {
                let (start, size) = segment.file_range();
                let within = address.checked_sub(segment.address())?;
                (within < size).then_some(start + within)
            })
            .expect("a segment with the function")
    }
}

fn symbol<'f, 'd>(file: &'f object::File<'d>, function: &str) -> Symbol<'d, 'f> {
    file.symbols()
        .find(|symbol| symbol.name() == Ok(function))
        .expect("the function")
}

impl Drop for Target {
    fn drop(&mut self) {
        // Already ended is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
