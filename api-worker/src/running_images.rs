//! Programs that run from images which the present policy would not accept any more. They are reported, and go on running: to
//! take away what an application relies on is its administrator's decision.

use ipc::messages::program::{ProgramEntry, Source};
use ipc::messages::pull::CachedImage;

/// One sentence for each such program.
pub(crate) fn findings(programs: &[ProgramEntry], images: &[CachedImage]) -> Vec<String> {
    programs
        .iter()
        .filter_map(|program| finding(program, images))
        .collect()
}

fn finding(program: &ProgramEntry, images: &[CachedImage]) -> Option<String> {
    let record = &program.record;
    let Source::Image(source) = &record.source else {
        return None;
    };
    let origin = source.origin.as_ref()?;
    let mut cached = images
        .iter()
        .filter(|image| image.digest == origin.digest)
        .peekable();
    let (id, url) = (record.program_id, &source.url);
    if cached.peek().is_some() {
        return cached.all(|image| image.acceptance.is_none()).then(|| {
            format!(
                "program {id} ({}) runs from image {url}, which the present policy refuses: unload it, or change [signing]; \
                 `bpfmanctl image pull {url}` says why",
                record.name
            )
        });
    }
    let mut present = images.iter().filter_map(|image| image.acceptance.as_ref());
    present
        .any(|accepted| accepted.policy != origin.acceptance.policy)
        .then(|| {
            format!(
                "program {id} ({}) runs from image {url}, which is not in the cache, so that the present policy cannot judge it: \
                 `bpfmanctl image pull {url}`",
                record.name
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::program::{ProgramKind, ProgramRecord};
    use ipc::messages::pull::{ImageOrigin, ImageSource, PullPolicy};
    use ipc::messages::signing::{Acceptance, Grounds};
    use std::collections::BTreeMap;

    fn accepted(policy: u8) -> Acceptance {
        Acceptance {
            grounds: Grounds::Unsigned,
            policy: [policy; 32],
        }
    }

    fn program(source: Source) -> ProgramEntry {
        ProgramEntry {
            record: ProgramRecord {
                program_id: 7,
                name: "pass".to_owned(),
                kind: ProgramKind::Xdp,
                section: "xdp".to_owned(),
                attach_function: None,
                license: "GPL".to_owned(),
                gpl_compatible: true,
                metadata: BTreeMap::new(),
                globals: Vec::new(),
                source,
                object_digest: [0; 32],
                plan_path: String::new(),
                pin_path: String::new(),
                maps_dir: String::new(),
                map_owner: None,
                loaded_by: 0,
                created_at: 0,
            },
            kernel: None,
            links: Vec::new(),
            attached: false,
        }
    }

    fn from_image(digest: u8, policy: u8) -> ProgramEntry {
        program(Source::Image(ImageSource {
            url: "quay.io/a:v1".to_owned(),
            pull_policy: PullPolicy::IfNotPresent,
            origin: Some(Box::new(ImageOrigin {
                digest: [digest; 32],
                manifest: [9; 32],
                acceptance: accepted(policy),
            })),
        }))
    }

    fn cached(digest: u8, acceptance: Option<Acceptance>) -> CachedImage {
        CachedImage {
            reference: "quay.io/a:v1".to_owned(),
            digest: [digest; 32],
            manifest: [9; 32],
            bytes: 1,
            pulled_at: 0,
            acceptance,
        }
    }

    #[test]
    fn what_the_present_policy_refuses_is_reported() {
        let found = findings(&[from_image(1, 1)], &[cached(1, None)]);
        assert!(
            found[0].starts_with("program 7 (pass) ") && found[0].contains("refuses"),
            "{found:?}"
        );
        // Under another name it may be accepted.
        let both = [cached(1, None), cached(1, Some(accepted(2)))];
        assert!(findings(&[from_image(1, 1)], &both).is_empty());
    }

    #[test]
    fn what_cannot_be_judged_under_another_policy_is_reported() {
        let other = [cached(2, Some(accepted(2)))];
        assert!(findings(&[from_image(1, 1)], &other)[0].contains("not in the cache"));
        assert!(findings(&[from_image(1, 2)], &other).is_empty());
        assert!(findings(&[from_image(1, 1)], &[]).is_empty());
        assert!(findings(&[program(Source::File("a.o".to_owned()))], &other).is_empty());
    }
}
