//! What the image worker finds in binaries for attachments: places of probes, and libraries by name.

use crate::limits::ATTEMPTS;
use crate::requests::{Context, protocol, uncertain};
use crate::validate;
use ipc::call::CallError;
use ipc::limits::REQUEST_DEADLINE;
use ipc::messages::attach::{AttachSpec, ProbePlace};
use ipc::messages::client::ClientReply;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::image::{ImageReply, ImageRequest};
use ipc::messages::loader::{Errand, LoaderRequest};
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

    /// Where in the target the probes of an attachment sit.
    pub(crate) async fn places(
        &mut self,
        spec: &AttachSpec,
        target: &[BorrowedFd<'_>],
    ) -> Result<Vec<ProbePlace>, Failure> {
        match spec {
            AttachSpec::Uprobe {
                target: name,
                function: Some(function),
                offset,
                ..
            } => {
                let resolve = ImageRequest::ResolveSymbol {
                    target: name.clone(),
                    function: function.clone(),
                    offset: *offset,
                };
                self.resolve(&resolve, target).await
            }
            AttachSpec::Uprobe { offset, .. } => Ok(vec![ProbePlace::at(*offset)]),
            AttachSpec::UprobeMulti {
                target: name,
                functions,
                ..
            } => {
                let resolve = ImageRequest::ResolveFunctions {
                    target: name.clone(),
                    functions: functions.clone(),
                };
                self.resolve(&resolve, target).await
            }
            AttachSpec::Usdt {
                target: binary,
                provider,
                name,
                ..
            } => {
                let resolve = ImageRequest::ResolveUsdt {
                    target: binary.clone(),
                    provider: provider.clone(),
                    name: name.clone(),
                };
                self.resolve(&resolve, target).await
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Why an attachment comes to nothing for which nothing was found. That there is such a program, and that it fits, is a
    /// matter before that.
    pub(crate) async fn fit_first(
        &mut self,
        program_id: u32,
        spec: &AttachSpec,
        failure: Failure,
    ) -> Failure {
        let get = LoaderRequest::GetProgram {
            session: self.session,
            program_id,
        };
        match self.ask_about(program_id, &get).await {
            Ok(ClientReply::Program(program)) => spec
                .check_kind(program_id, program.record.kind)
                .err()
                .unwrap_or(failure),
            Err(unknown) if unknown.code == FailureCode::NotFound => {
                Failure::no_such_program(program_id, Stage::Attach)
            }
            _ => failure,
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
        self.permit(Errand::Attach).await?;
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
