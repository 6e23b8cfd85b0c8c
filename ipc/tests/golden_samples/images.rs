//! Messages about images for golden frames.

use super::{globals, programs};
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::image::{ImageReply, ImageRequest, PlanDelivery};
use ipc::messages::program::Source;
use ipc::messages::program::{LoadOptions, TypedGlobal};
use ipc::messages::pull::{CachedImage, ImageOrigin, ImageSource, Progress, PullPolicy};
use ipc::messages::signing::{Acceptance, Grounds};

fn url() -> String {
    "quay.io/a/b:v1".to_owned()
}

fn acceptance() -> Acceptance {
    Acceptance {
        grounds: Grounds::Key {
            name: "release.pub".to_owned(),
            fingerprint: [5; 32],
            logged: true,
        },
        policy: [6; 32],
    }
}

fn cached() -> CachedImage {
    CachedImage {
        reference: url(),
        digest: [1; 32],
        manifest: [2; 32],
        bytes: 4096,
        pulled_at: 1_700_000_000,
        acceptance: Some(acceptance()),
    }
}

fn progress() -> Vec<Progress> {
    vec![Progress {
        what: "layer".to_owned(),
        done: 1,
        total: 2,
    }]
}

pub(crate) fn client_requests(options: LoadOptions, types: Vec<TypedGlobal>) -> Vec<ClientRequest> {
    let source = ImageSource {
        url: url(),
        pull_policy: PullPolicy::Always,
        origin: None,
    };
    vec![
        ClientRequest::LoadImage {
            options: LoadOptions {
                source: Source::Image(source),
                ..options
            },
            types,
        },
        ClientRequest::PullImage {
            url: url(),
            policy: PullPolicy::Always,
        },
        ClientRequest::PullProgress { url: url() },
        ClientRequest::ListImages,
        ClientRequest::PruneImages {
            keep: vec![[2; 32]],
        },
    ]
}

pub(crate) fn client_replies() -> Vec<ClientReply> {
    vec![
        ClientReply::Pulled(Box::new(cached())),
        ClientReply::Progress(progress()),
        ClientReply::Images(vec![cached()]),
        ClientReply::Pruned {
            images: 1,
            bytes: 4096,
        },
    ]
}

pub(crate) fn image_requests(types: Vec<TypedGlobal>) -> Vec<ImageRequest> {
    vec![
        ImageRequest::Pull {
            url: url(),
            policy: PullPolicy::Never,
        },
        ImageRequest::CompileImage {
            ticket: 12,
            url: url(),
            policy: PullPolicy::IfNotPresent,
            programs: programs(),
            globals: globals(),
            types,
        },
        ImageRequest::PullProgress { url: url() },
        ImageRequest::ListImages,
        ImageRequest::PruneImages {
            keep: vec![[2; 32]],
        },
        ImageRequest::FindLibrary {
            name: "libc".to_owned(),
        },
    ]
}

pub(crate) fn image_replies() -> Vec<ImageReply> {
    vec![
        ImageReply::Pulled(Box::new(cached())),
        ImageReply::Progress(progress()),
        ImageReply::Images(vec![cached()]),
        ImageReply::Pruned {
            images: 1,
            bytes: 4096,
        },
        ImageReply::Library {
            path: "/lib/libc.so.6".to_owned(),
        },
    ]
}

pub(crate) fn delivery() -> PlanDelivery {
    PlanDelivery::ImagePlan {
        ticket: 12,
        length: 13,
        digest: [7; 32],
        origin: Box::new(ImageOrigin {
            digest: [1; 32],
            manifest: [2; 32],
            acceptance: acceptance(),
        }),
    }
}
