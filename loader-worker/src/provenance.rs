//! Where an object came from: what the client asked for, joined with what the image worker says it was. Pure.

use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::Source;
use ipc::messages::pull::ImageOrigin;

/// Completes the source of a load. Only the image worker, which judged the image, says which one it was; the request that
/// came by way of the API worker cannot.
///
/// # Errors
///
/// An image was asked for and the plan is of a file, or the reverse.
pub fn fill_in(source: &mut Source, said: Option<Box<ImageOrigin>>) -> Result<(), Failure> {
    match (source, said) {
        (Source::File(_), None) => Ok(()),
        (Source::Image(image), Some(origin)) if image.origin.is_none() => {
            image.origin = Some(origin);
            Ok(())
        }
        _ => Err(Failure::new(
            FailureCode::Internal,
            Stage::Load,
            "the load plan is not of the object that was asked for",
        )
        .remedy("this is a fault of bpfman's API or image worker, please report it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::pull::{ImageSource, PullPolicy};
    use ipc::messages::signing::{Acceptance, Grounds};

    fn origin() -> Box<ImageOrigin> {
        Box::new(ImageOrigin {
            digest: [1; 32],
            manifest: [2; 32],
            acceptance: Acceptance {
                grounds: Grounds::Unsigned,
                policy: [3; 32],
            },
        })
    }

    fn image(origin: Option<Box<ImageOrigin>>) -> Source {
        Source::Image(ImageSource {
            url: "a".to_owned(),
            pull_policy: PullPolicy::Always,
            origin,
        })
    }

    #[test]
    fn only_the_image_worker_says_what_an_image_was() {
        let mut asked = image(None);
        fill_in(&mut asked, Some(origin())).unwrap();
        assert_eq!(asked, image(Some(origin())));
        // What the request claims is not believed, in no case.
        assert!(fill_in(&mut image(Some(origin())), Some(origin())).is_err());
        assert!(fill_in(&mut image(None), None).is_err());
        let file = || Source::File("a.o".to_owned());
        assert!(fill_in(&mut file(), None).is_ok());
        assert!(fill_in(&mut file(), Some(origin())).is_err());
    }
}
