//! Credentials for a registry, as a request has them, on their way to the image worker: taken out of the request before
//! anything else is done with it, and put into memory that is passed on. They are in no message and in no answer. What this
//! process frees is cleared; the buffer that they were received in is freed with the connection, which is therefore left.

use crate::proto::BytecodeImage;
use ipc::limits::CREDENTIAL_BYTES;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use tonic::Status;

/// Takes user and password out of a request; nothing when there are not both. What remains says whether they were there.
///
/// # Errors
///
/// `InvalidArgument` when they are longer than any are, `ResourceExhausted` when there is no memory for them.
pub(super) fn take(image: &mut BytecodeImage) -> Result<Option<OwnedFd>, Status> {
    let take = |text: &mut Option<String>| text.as_mut().map(std::mem::take).unwrap_or_default();
    let user = take(&mut image.username);
    let password = take(&mut image.password);
    if user.is_empty() || password.is_empty() {
        return Ok(None);
    }
    // As the image worker reads them: each part ends with a byte that none can have.
    let parts = ["basic", &user, &password];
    if parts.iter().map(|part| part.len() + 1).sum::<usize>() > CREDENTIAL_BYTES {
        return Err(Status::invalid_argument(
            "the credentials for the registry are too long",
        ));
    }
    write(parts).map(Some).map_err(|error| {
        Status::resource_exhausted(format!(
            "the credentials for the registry cannot be passed on: {error}"
        ))
    })
}

fn write(parts: [&str; 3]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("credentials", MemfdFlags::CLOEXEC)?);
    for part in parts {
        file.write_all(part.as_bytes())?;
        file.write_all(&[0])?;
    }
    Ok(file.into())
}

/// Without user and password, whoever prints it.
impl fmt::Debug for BytecodeImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BytecodeImage")
            .field("url", &self.url)
            .field("image_pull_policy", &self.image_pull_policy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::registry::Credentials;
    use std::io::{Read, Seek};
    use tonic::Code;

    fn image(username: Option<&str>, password: Option<&str>) -> BytecodeImage {
        BytecodeImage {
            url: "registry.example/counter:v1".to_owned(),
            username: username.map(str::to_owned),
            password: password.map(str::to_owned),
            ..BytecodeImage::default()
        }
    }

    #[test]
    fn the_image_worker_reads_what_was_taken_and_nothing_remains() {
        let mut asked = image(Some("user"), Some("secret"));
        assert!(!format!("{asked:?}").contains("secret"));
        let mut passed = File::from(take(&mut asked).unwrap().unwrap());
        let mut bytes = Vec::new();
        passed.rewind().unwrap();
        passed.read_to_end(&mut bytes).unwrap();
        let Ok(Credentials::Basic { user, password }) = &Credentials::decode(&bytes) else {
            panic!("another form");
        };
        assert_eq!([user.as_str(), password], ["user", "secret"]);
        assert_eq!(asked, image(Some(""), Some("")));
    }

    #[test]
    fn half_of_them_is_none_and_too_long_is_refused() {
        for (user, password) in [
            (None, None),
            (Some("user"), None),
            (None, Some("secret")),
            (Some(""), Some("")),
        ] {
            assert!(take(&mut image(user, password)).unwrap().is_none());
        }
        let longest = CREDENTIAL_BYTES - "basic..u.".len();
        let of = |length| take(&mut image(Some("u"), Some(&"x".repeat(length))));
        assert!(of(longest).is_ok());
        let status = of(longest + 1).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(!status.message().contains('x'));
    }
}
