//! Images for tests of what is printed.

use ipc::messages::pull::{CachedImage, ImageOrigin, ImageSource, PullPolicy};
use ipc::messages::signing::{Acceptance, Grounds};

fn acceptance(grounds: Grounds) -> Acceptance {
    Acceptance {
        grounds,
        policy: [6; 32],
    }
}

fn key() -> Acceptance {
    acceptance(Grounds::Key {
        name: "release.pub".to_owned(),
        fingerprint: [5; 32],
        logged: false,
    })
}

pub(crate) fn images() -> Vec<CachedImage> {
    let image = |name: &str, acceptance| CachedImage {
        reference: format!("quay.io/acme/{name}:v1"),
        digest: [1; 32],
        manifest: [2; 32],
        bytes: 4096,
        pulled_at: 1_700_000_000,
        acceptance,
    };
    vec![
        image("count", Some(key())),
        image("pass", Some(acceptance(Grounds::Unsigned))),
        image("refused", None),
    ]
}

pub(crate) fn source() -> ImageSource {
    ImageSource {
        url: "quay.io/acme/count:v1".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        origin: Some(Box::new(ImageOrigin {
            digest: [1; 32],
            manifest: [2; 32],
            acceptance: key(),
        })),
    }
}
