//! Reads the object file whose open descriptor came with a request. Its owner may change it at any time: what counts is
//! what is read, once, and never more than the bound.

use crate::compile::CompileError;
use ipc::limits::OBJECT_BYTES;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use rustix::fs::{FileType, fstat};
use rustix::io::pread;
use std::os::fd::AsFd;

/// How much is read at once.
const CHUNK: usize = 256 * 1024;

/// The whole file, from its beginning wherever the descriptor stands.
pub fn read_object(file: impl AsFd) -> Result<Vec<u8>, Failure> {
    let size = regular_file_size(&file, Stage::Object)?;
    if size > OBJECT_BYTES {
        return Err(CompileError::TooLarge.into());
    }
    // One more byte than may be there tells a file that has grown from one that ends here.
    let bytes = read_at_most(&file, OBJECT_BYTES + 1, Stage::Object)?;
    if bytes.is_empty() {
        return Err(CompileError::Empty.into());
    }
    if bytes.len() as u64 > OBJECT_BYTES {
        return Err(CompileError::TooLarge.into());
    }
    Ok(bytes)
}

/// At most so many bytes of a file, from its beginning wherever the descriptor stands.
pub(crate) fn read_at_most(file: impl AsFd, limit: u64, stage: Stage) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < limit {
        let start = bytes.len();
        let room = (limit as usize - start).min(CHUNK);
        bytes.resize(start + room, 0);
        let read = pread(&file, &mut bytes[start..], start as u64)
            .map_err(|error| unreadable(stage, error))?;
        bytes.truncate(start + read);
        if read == 0 {
            break;
        }
    }
    Ok(bytes)
}

/// Bytes of a regular file; anything else is refused.
pub(crate) fn regular_file_size(file: impl AsFd, stage: Stage) -> Result<u64, Failure> {
    let status = fstat(file).map_err(|error| unreadable(stage, error))?;
    let what = match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => return Ok(u64::try_from(status.st_size).unwrap_or(0)),
        FileType::Directory => "a directory",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "no regular file",
    };
    Err(Failure::new(
        FailureCode::InvalidArgument,
        stage,
        format!("the descriptor is {what}, not a file"),
    )
    .remedy("pass a regular file"))
}

/// What reading fails with.
pub(crate) fn unreadable(stage: Stage, error: rustix::io::Errno) -> Failure {
    Failure::new(
        FailureCode::InvalidArgument,
        stage,
        format!("the file cannot be read: {error}"),
    )
    .remedy("open it for reading")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};
    use std::io::{Seek as _, Write as _};

    fn file_of(bytes: u64) -> File {
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(bytes).expect("a length");
        file
    }

    #[test]
    fn reads_from_the_beginning_up_to_the_limit() {
        let mut file = file_of(0);
        file.write_all(b"contents").expect("written");
        assert_eq!(read_object(&file).expect("readable"), b"contents");
        assert_eq!(
            file.stream_position().expect("a position"),
            8,
            "the client's position stays"
        );
        let largest = read_object(file_of(OBJECT_BYTES)).expect("just not too large");
        assert_eq!(largest.len() as u64, OBJECT_BYTES);
    }

    #[test]
    fn refuses_what_is_no_object_file() {
        let cause = |result: Result<Vec<u8>, Failure>| result.expect_err("refused").cause;
        assert_eq!(cause(read_object(file_of(0))), "the object file is empty");
        assert!(cause(read_object(file_of(OBJECT_BYTES + 1))).contains("more than 16777216 bytes"));
        let directory = File::open("/").expect("a directory");
        assert_eq!(
            cause(read_object(directory)),
            "the descriptor is a directory, not a file"
        );
        let device = File::open("/dev/zero").expect("a device");
        assert_eq!(
            cause(read_object(device)),
            "the descriptor is a device, not a file"
        );
        let (pipe, _writer) = rustix::pipe::pipe().expect("a pipe");
        assert_eq!(
            cause(read_object(pipe)),
            "the descriptor is a pipe, not a file"
        );
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().expect("sockets");
        assert_eq!(
            cause(read_object(socket)),
            "the descriptor is a socket, not a file"
        );
        let path = tempfile::NamedTempFile::new().expect("a temporary file");
        let write_only = OpenOptions::new()
            .write(true)
            .open(path.path())
            .expect("opened");
        assert!(cause(read_object(write_only)).starts_with("the file cannot be read"));
    }
}
