//! What the image worker finds in binaries for attachments: places of probes, and libraries by name.

use crate::limits::ATTEMPTS;
use crate::requests::{Context, protocol, uncertain};
use crate::validate;
use ipc::call::CallError;
use ipc::limits::REQUEST_DEADLINE;
use ipc::messages::attach::ProbePlace;
use ipc::messages::failure::Failure;
use ipc::messages::image::{ImageReply, ImageRequest};
use ipc::role::Role;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Context {
    /// Has the image worker find a library in the cache of the dynamic linker.
    pub(crate) async fn find_library(
        &mut self,
        name: String,
        cache: OwnedFd,
    ) -> Result<String, Failure> {
        validate::library(&name)?;
        let find = ImageRequest::FindLibrary { name };
        match self.look_into(&find, &[cache.as_fd()]).await? {
            ImageReply::Library { path } => Ok(path),
            other => Err(protocol(format!("{other:?} from the image worker"))),
        }
    }

    /// The places that a request for them is answered with.
    pub(crate) async fn resolve(
        &mut self,
        request: &ImageRequest,
        target: &[BorrowedFd<'_>],
    ) -> Result<Vec<ProbePlace>, Failure> {
        match self.look_into(request, target).await? {
            ImageReply::Symbol { file_offset } => Ok(vec![ProbePlace::at(file_offset)]),
            ImageReply::Places(places) => Ok(places),
            other => Err(protocol(format!("{other:?} from the image worker"))),
        }
    }

    /// Has the image worker look into a file, again if it dies of that.
    async fn look_into(
        &mut self,
        request: &ImageRequest,
        file: &[BorrowedFd<'_>],
    ) -> Result<ImageReply, Failure> {
        let mut attempt = 1;
        loop {
            let image = self.directory.image().await?;
            match image.caller.call(request, file, REQUEST_DEADLINE).await {
                Ok(answer) => match answer.message {
                    ImageReply::Failed(failure) => return Err(failure),
                    reply => return Ok(reply),
                },
                Err(CallError::PeerGone) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(uncertain(error, Role::Image)),
            }
        }
    }
}
