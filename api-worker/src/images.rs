//! Requests about images: the image worker fetches, judges and compiles; the loader is asked only when there is a plan.

use crate::requests::{Context, cancel, protocol, translate, uncertain};
use crate::{running_images, validate};
use ipc::limits::{PULL_DEADLINE, REQUEST_DEADLINE};
use ipc::messages::client::ClientReply;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::image::{ImageReply, ImageRequest};
use ipc::messages::loader::{Errand, LoaderRequest};
use ipc::messages::program::{LoadOptions, ProgramEntry, Source, TypedGlobal};
use ipc::messages::pull::PullPolicy;
use ipc::role::Role;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

impl Context {
    /// The loader is told after the image worker has delivered: until then it would wait for a registry. A plan waits there
    /// for its request as a request does for its plan.
    pub(crate) async fn load_image(
        &mut self,
        options: LoadOptions,
        types: Vec<TypedGlobal>,
        credentials: Vec<OwnedFd>,
    ) -> Result<ClientReply, Failure> {
        let source = validate::load_image(&options)?.clone();
        validate::types(&options, &types)?;
        let ticket = self.new_ticket();
        let compile = ImageRequest::CompileImage {
            ticket,
            url: source.url,
            policy: source.pull_policy,
            programs: options.programs.clone(),
            globals: options.globals.clone(),
            types,
        };
        let compiled = self.wait_for_image(Errand::Load, &compile, &credentials);
        match compiled.await? {
            ImageReply::Delivered => {}
            other => return Err(unexpected(&other)),
        }
        let loader = self.introduced_loader().await?;
        if let Err(failure) = self.awaited.check() {
            // The plan waits there in vain.
            cancel(&loader, ticket).await;
            return Err(failure);
        }
        let load = LoaderRequest::Load {
            session: self.session,
            ticket,
            options,
        };
        let answer = loader.caller.call(&load, &[], REQUEST_DEADLINE).await;
        translate(
            answer
                .map_err(|error| uncertain(error, Role::Loader))?
                .message,
        )
    }

    pub(crate) async fn pull(
        &mut self,
        url: String,
        policy: PullPolicy,
        credentials: Vec<OwnedFd>,
    ) -> Result<ClientReply, Failure> {
        validate::reference(&url)?;
        let pull = ImageRequest::Pull { url, policy };
        let pulled = self.wait_for_image(Errand::Images, &pull, &credentials);
        match pulled.await? {
            ImageReply::Pulled(image) => Ok(ClientReply::Pulled(image)),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn pull_progress(&mut self, url: String) -> Result<ClientReply, Failure> {
        validate::reference(&url)?;
        let ask = ImageRequest::PullProgress { url };
        let asked = self.ask_image(Errand::ShowImages, &ask, &[], REQUEST_DEADLINE);
        match asked.await? {
            ImageReply::Progress(progress) => Ok(ClientReply::Progress(progress)),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn list_images(&mut self) -> Result<ClientReply, Failure> {
        match self.images().await? {
            ImageReply::Images(images) => Ok(ClientReply::Images(images)),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn prune_images(
        &mut self,
        keep: Vec<[u8; 32]>,
    ) -> Result<ClientReply, Failure> {
        let prune = ImageRequest::PruneImages { keep };
        let pruned = self.ask_image(Errand::Images, &prune, &[], REQUEST_DEADLINE);
        match pruned.await? {
            ImageReply::Pruned { images, bytes } => Ok(ClientReply::Pruned { images, bytes }),
            other => Err(unexpected(&other)),
        }
    }

    /// What the loader finds, and which programs run from images that the present policy would not accept. An image worker
    /// that cannot be asked is a finding, too.
    pub(crate) async fn doctor(&mut self) -> Result<ClientReply, Failure> {
        let session = self.session;
        let doctor = LoaderRequest::Doctor { session };
        let ClientReply::Doctor(mut report) = self.ask_loader(&doctor, &[]).await? else {
            return Err(protocol("another answer to doctor"));
        };
        let list = LoaderRequest::ListPrograms { session };
        let ClientReply::Programs(programs) = self.ask_loader(&list, &[]).await? else {
            return Err(protocol("another answer to a list of programs"));
        };
        let is_from_image = |entry: &ProgramEntry| matches!(entry.record.source, Source::Image(_));
        if programs.iter().any(is_from_image) {
            match self.images().await {
                Ok(ImageReply::Images(images)) => {
                    report
                        .findings
                        .extend(running_images::findings(&programs, &images));
                }
                Ok(other) => return Err(unexpected(&other)),
                Err(failure) => report
                    .findings
                    .push(format!("images in use cannot be judged: {failure}")),
            }
        }
        Ok(ClientReply::Doctor(report))
    }

    /// Waits for a registry, if there is room to: those that hang must not take the places of requests that wait for
    /// nobody.
    async fn wait_for_image(
        &mut self,
        errand: Errand,
        request: &ImageRequest,
        credentials: &[OwnedFd],
    ) -> Result<ImageReply, Failure> {
        let pulls = self.pulls.clone();
        let _place = pulls.try_acquire().map_err(|_| {
            Failure::new(
                FailureCode::ResourceExhausted,
                Stage::Pull,
                "as many images as are allowed at once are being waited for",
            )
            .remedy("retry when some have come")
        })?;
        let credentials: Vec<BorrowedFd<'_>> = credentials.iter().map(AsFd::as_fd).collect();
        self.ask_image(errand, request, &credentials, PULL_DEADLINE)
            .await
    }

    async fn images(&mut self) -> Result<ImageReply, Failure> {
        let list = ImageRequest::ListImages;
        self.ask_image(Errand::ShowImages, &list, &[], REQUEST_DEADLINE)
            .await
    }

    async fn ask_image(
        &mut self,
        errand: Errand,
        request: &ImageRequest,
        descriptors: &[BorrowedFd<'_>],
        deadline: Duration,
    ) -> Result<ImageReply, Failure> {
        self.permit(errand).await?;
        let image = self.directory.image().await?;
        let answer = image.caller.call(request, descriptors, deadline).await;
        match answer
            .map_err(|error| uncertain(error, Role::Image))?
            .message
        {
            ImageReply::Failed(failure) => Err(failure),
            reply => Ok(reply),
        }
    }
}

fn unexpected(reply: &ImageReply) -> Failure {
    protocol(format!("{reply:?} from the image worker"))
}
