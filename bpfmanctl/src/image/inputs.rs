//! Which object files go into an image, and for which machine each of them is.

use super::platforms::Machine;
use crate::exit::Error;
use crate::object::open_regular;
use ipc::limits::OBJECT_BYTES;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"\x7fELF";
/// Where an ELF file says its byte order.
const ORDER: usize = 5;
const LITTLE: u8 = 1;
const BIG: u8 = 2;

/// The object files of an image.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// In the order of the command line, or by platform.
    pub(crate) files: Vec<Bytecode>,
    /// Whether machines were named, so that the image is an index.
    pub(crate) by_platform: bool,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Bytecode {
    pub(crate) machine: &'static Machine,
    /// As it was written.
    pub(crate) path: String,
    pub(crate) object: Vec<u8>,
}

impl Bytecode {
    /// Name without directories.
    pub(crate) fn name(&self) -> &str {
        Path::new(&self.path)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("bytecode.o")
    }
}

/// Reads what the command line names: one file for this machine, `PLATFORM=FILE` for several, or a directory in which bpf2go
/// put its objects.
pub(crate) fn read(named: &[String], project: Option<&Path>) -> Result<Inputs, Error> {
    let usage = |text: String| Err(Error::Usage(text));
    let (found, by_platform) = match (named, project) {
        ([], None) => return usage("one bytecode input is required".to_owned()),
        ([], Some(directory)) => (of_project(directory)?, true),
        (_, Some(_)) => {
            return usage("--cilium-ebpf-project stands instead of bytecode inputs".to_owned());
        }
        (named, None) => match named.iter().filter(|input| input.contains('=')).count() {
            0 if named.len() == 1 => (vec![(host()?, named[0].clone())], false),
            0 => {
                return usage(
                    "only one bytecode input without platform is possible: write PLATFORM=PATH"
                        .to_owned(),
                );
            }
            mapped if mapped == named.len() => (of_platforms(named)?, true),
            _ => return usage("bytecode inputs with and without platform are mixed".to_owned()),
        },
    };
    let files = found
        .into_iter()
        .map(|(machine, path)| {
            let object = read_object(&path, machine)?;
            Ok(Bytecode {
                machine,
                path,
                object,
            })
        })
        .collect::<Result<_, Error>>()?;
    Ok(Inputs { files, by_platform })
}

fn host() -> Result<&'static Machine, Error> {
    Machine::host().ok_or_else(|| {
        Error::Failed("images cannot be made for this machine: write PLATFORM=PATH".to_owned())
    })
}

fn of_platforms(named: &[String]) -> Result<Vec<(&'static Machine, String)>, Error> {
    let mut found: Vec<(&'static Machine, String)> = Vec::new();
    for input in named {
        // Every one has a `=`.
        let (platform, path) = input.split_once('=').unwrap_or_default();
        let machine = Machine::named(platform).ok_or_else(|| {
            let known = super::platforms::MACHINES.iter().map(Machine::platform);
            let known: Vec<_> = known.collect();
            Error::Usage(format!(
                "unsupported platform \"{platform}\": known are {}",
                known.join(", ")
            ))
        })?;
        if path.is_empty() {
            return Err(Error::Usage(format!("the path for {platform} is empty")));
        }
        if found.iter().any(|(other, _)| *other == machine) {
            return Err(Error::Usage(format!("duplicate platform {platform}")));
        }
        found.push((machine, path.to_owned()));
    }
    Ok(found)
}

/// Only what lies directly in the directory; sorted by platform.
fn of_project(directory: &Path) -> Result<Vec<(&'static Machine, String)>, Error> {
    let shown = directory.display();
    let failed = |error: std::io::Error| Error::Failed(format!("{shown}: {error}"));
    let mut found: Vec<(&'static Machine, String)> = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path: PathBuf = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|extension| extension != "o") || path.is_dir() {
            continue;
        }
        let text = path.display().to_string();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let machine = stem.and_then(Machine::of_cilium_file).ok_or_else(|| {
            Error::Failed(format!("unrecognised cilium/ebpf bytecode file {text}"))
        })?;
        if let Some((_, other)) = found.iter().find(|(other, _)| *other == machine) {
            return Err(Error::Failed(format!(
                "duplicate platform {}: {other} and {text}",
                machine.platform()
            )));
        }
        found.push((machine, text));
    }
    if found.is_empty() {
        return Err(Error::Failed(format!(
            "no cilium/ebpf bytecode files found in {shown}"
        )));
    }
    found.sort_by_key(|(machine, _)| machine.platform());
    Ok(found)
}

fn read_object(path: &str, machine: &Machine) -> Result<Vec<u8>, Error> {
    let failed = |cause: String| Error::Failed(format!("open bytecode ELF: \"{path}\" {cause}"));
    let file = open_regular(Path::new(path)).map_err(|error| failed(error.to_string()))?;
    let mut object = Vec::new();
    File::from(file)
        .take(OBJECT_BYTES + 1)
        .read_to_end(&mut object)
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
    if object.len() as u64 > OBJECT_BYTES {
        return Err(failed(format!("is larger than {OBJECT_BYTES} bytes")));
    }
    let order = object.get(ORDER).copied();
    if !object.starts_with(MAGIC) {
        return Err(failed("is no ELF file".to_owned()));
    }
    let (expected, name) = match machine.big_endian {
        false => (LITTLE, "ELFDATA2LSB"),
        true => (BIG, "ELFDATA2MSB"),
    };
    match order {
        Some(order) if order == expected => Ok(object),
        Some(LITTLE) => Err(other_order(path, "ELFDATA2LSB", name)),
        Some(BIG) => Err(other_order(path, "ELFDATA2MSB", name)),
        _ => Err(failed("is no ELF file".to_owned())),
    }
}

fn other_order(path: &str, found: &str, expected: &str) -> Error {
    Error::Failed(format!(
        "bytecode {path} has {found} endianness, expected {expected}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|word| (*word).to_owned()).collect()
    }

    fn elf(order: u8) -> Vec<u8> {
        [MAGIC, &[2, order], &[0; 58]].concat()
    }

    #[test]
    fn inputs_that_make_no_sense_are_usage_errors() {
        for (inputs, project, reason) in [
            (&[][..], None, "one bytecode input is required"),
            (&["a.o", "b.o"], None, "only one bytecode input"),
            (&["a.o", "linux/amd64=b.o"], None, "mixed"),
            (
                &["linux/amd64=a.o", "linux/amd64=b.o"],
                None,
                "duplicate platform",
            ),
            (&["windows/amd64=a.o"], None, "unsupported platform"),
            (&["linux/amd64="], None, "is empty"),
            (&["a.o"], Some("/nowhere"), "instead of bytecode inputs"),
        ] {
            let error = read(&words(inputs), project.map(Path::new)).unwrap_err();
            assert!(matches!(error, Error::Usage(_)), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn objects_must_be_there_and_of_the_machine() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::write(path("el.o"), elf(LITTLE)).unwrap();
        fs::write(path("eb.o"), elf(BIG)).unwrap();
        fs::write(path("text.o"), "text").unwrap();
        let of = |platform: &str, name: &str| read(&[format!("{platform}={}", path(name))], None);
        assert!(of("linux/amd64", "el.o").unwrap().by_platform);
        assert!(of("linux/s390x", "eb.o").is_ok());
        for (platform, name, reason) in [
            (
                "linux/s390x",
                "el.o",
                "has ELFDATA2LSB endianness, expected ELFDATA2MSB",
            ),
            (
                "linux/amd64",
                "eb.o",
                "has ELFDATA2MSB endianness, expected ELFDATA2LSB",
            ),
            ("linux/amd64", "text.o", "is no ELF file"),
            ("linux/amd64", "none.o", "does not exist"),
            ("linux/amd64", "", "is a directory"),
        ] {
            let error = of(platform, name).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        fs::write(path("big.o"), vec![0; OBJECT_BYTES as usize + 1]).unwrap();
        assert!(
            of("linux/amd64", "big.o")
                .unwrap_err()
                .to_string()
                .contains("larger")
        );
    }

    #[test]
    fn a_project_is_what_lies_in_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let in_it = |name: &str| directory.path().join(name);
        let read = || read(&[], Some(directory.path()));
        assert!(
            read()
                .unwrap_err()
                .to_string()
                .contains("no cilium/ebpf bytecode files")
        );
        for (name, order) in [
            ("a_bpfel_x86.o", LITTLE),
            ("a_bpfeb_s390.o", BIG),
            ("a_bpfel_arm64.o", LITTLE),
        ] {
            fs::write(in_it(name), elf(order)).unwrap();
        }
        fs::write(in_it("a.go"), "").unwrap();
        fs::create_dir(in_it("sub.o")).unwrap();
        let found: Vec<_> = read()
            .unwrap()
            .files
            .iter()
            .map(|file| file.machine.architecture)
            .collect();
        assert_eq!(found, ["amd64", "arm64", "s390x"]);
        fs::write(in_it("other.o"), elf(LITTLE)).unwrap();
        assert!(
            read()
                .unwrap_err()
                .to_string()
                .contains("unrecognised cilium/ebpf bytecode file")
        );
    }
}
