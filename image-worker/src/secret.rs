//! Credentials for a registry, as they come: in memory that the client passed, read once, overwritten when used up.

use crate::input::{regular_file_size, unreadable};
use ipc::limits::CREDENTIAL_BYTES;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use oci::registry::Credentials;
use rustix::io::pread;
use std::os::fd::OwnedFd;
use zeroize::Zeroizing;

/// Reads credentials.
///
/// # Errors
///
/// They are too long or not in their form. What they are is in no message.
pub fn read(memory: OwnedFd) -> Result<Credentials, Failure> {
    let invalid = |cause: &str| {
        Failure::new(
            FailureCode::InvalidArgument,
            Stage::Request,
            format!("the credentials for the registry {cause}"),
        )
    };
    let size = regular_file_size(&memory, Stage::Request)?;
    if size > CREDENTIAL_BYTES as u64 {
        return Err(invalid("are too long"));
    }
    let mut bytes = Zeroizing::new(vec![0; CREDENTIAL_BYTES + 1]);
    let mut length = 0;
    loop {
        let read = pread(&memory, &mut bytes[length..], length as u64)
            .map_err(|error| unreadable(Stage::Request, error))?;
        length += read;
        if length > CREDENTIAL_BYTES {
            return Err(invalid("are too long"));
        }
        if read == 0 {
            break;
        }
    }
    Credentials::decode(&bytes[..length]).map_err(|_| invalid("are not in their form"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn of(bytes: &[u8]) -> OwnedFd {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file.into()
    }

    #[test]
    fn credentials_are_read_whole_or_refused() {
        let encoded = Credentials::basic("user", "secret")
            .expect("credentials")
            .encode();
        assert!(read(of(&encoded)).is_ok());
        for bytes in [
            &b""[..],
            b"basic",
            &encoded[1..],
            &vec![0; CREDENTIAL_BYTES + 1],
        ] {
            let failure = read(of(bytes)).expect_err("refused");
            assert!(!failure.to_string().contains("secret"));
        }
        let (pipe, _writer) = rustix::pipe::pipe().expect("a pipe");
        assert!(read(pipe).is_err());
    }
}
