//! What of a request can be checked without the kernel: bounds, forms, and whether the plan is the one that was asked
//! for. Pure.

use crate::valid_plan::ValidPlan;
use ipc::limits::{
    GLOBALS, METADATA_BYTES, METADATA_ENTRIES, NAME_BYTES, PATH_BYTES, REFERENCE_BYTES,
};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::{LoadOptions, MAPS_MODE_BITS, Source};
use std::collections::BTreeMap;

/// Checks a load request against itself and against its plan.
pub fn check_load(options: &LoadOptions, valid: &ValidPlan) -> Result<(), Failure> {
    check_metadata(&options.metadata)?;
    bound("global variables", options.globals.len(), GLOBALS)?;
    for global in &options.globals {
        bound(
            "bytes in the name of a global variable",
            global.name.len(),
            NAME_BYTES,
        )?;
    }
    match &options.source {
        Source::File(path) => bound(
            "bytes in the path of the object file",
            path.len(),
            PATH_BYTES,
        )?,
        Source::Image(image) => bound(
            "bytes in the image reference",
            image.url.len(),
            REFERENCE_BYTES,
        )?,
    }
    if let Some(mode) = options.maps_mode.filter(|mode| mode & !MAPS_MODE_BITS != 0) {
        return Err(invalid(format!("{mode:o} is no mode for map pins"))
            .remedy("use a mode made of read and write bits, such as 0640"));
    }
    if options.maps_group == Some(u32::MAX) {
        return Err(invalid(format!("{} is no group id", u32::MAX)));
    }
    // They keep the mode and group that their owner was loaded with: other applications read them already.
    if let Some(owner) = owner(options)
        && (options.maps_mode.is_some() || options.maps_group.is_some())
    {
        return Err(invalid(format!(
            "mode and group are those of new maps, and the maps of program {owner} are there already"
        ))
        .remedy("give --maps-mode and --maps-group when the owner is loaded, or leave out --map-owner-id"));
    }
    let asked = options
        .programs
        .iter()
        .map(|program| (&program.name, program.kind));
    let planned = valid
        .plan()
        .programs
        .iter()
        .map(|program| (&program.name, program.kind));
    if !asked.eq(planned) {
        return Err(Failure::new(
            FailureCode::Internal,
            Stage::Load,
            "the load plan is not for the programs that were asked for",
        )
        .remedy("this is a fault of bpfman's image worker, please report it"));
    }
    Ok(())
}

/// The program whose maps are to be used; 0 stands for none.
pub fn owner(options: &LoadOptions) -> Option<u32> {
    options.map_owner.filter(|owner| *owner != 0)
}

/// Checks whether so many more can be managed.
pub fn check_room(what: &str, known: usize, new: usize, limit: usize) -> Result<(), Failure> {
    if known + new <= limit {
        return Ok(());
    }
    let cause =
        format!("{known} {what} are managed and {new} more asked for, {limit} is the limit");
    Err(
        Failure::new(FailureCode::ResourceExhausted, Stage::Request, cause)
            .remedy(format!("take away {what} that are not used")),
    )
}

/// Checks the labels of a program or link.
pub fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), Failure> {
    bound("metadata entries", metadata.len(), METADATA_ENTRIES)?;
    for (key, value) in metadata {
        if key.is_empty() {
            return Err(invalid("a metadata key is empty".into()));
        }
        bound("bytes in a metadata key", key.len(), METADATA_BYTES)?;
        bound("bytes in a metadata value", value.len(), METADATA_BYTES)?;
    }
    Ok(())
}

/// Checks the length of a name in a request.
pub fn check_name(name: &str) -> Result<(), Failure> {
    bound("bytes in a name", name.len(), NAME_BYTES)
}

/// Checks the length of a path in a request.
pub fn check_path(path: &str) -> Result<(), Failure> {
    bound("bytes in a path", path.len(), PATH_BYTES)
}

/// Checks that there are not more than `limit` of something.
pub fn bound(what: &str, found: usize, limit: usize) -> Result<(), Failure> {
    if found <= limit {
        return Ok(());
    }
    Err(invalid(format!("{found} {what}, {limit} is the limit")))
}

fn invalid(cause: String) -> Failure {
    Failure::new(FailureCode::InvalidArgument, Stage::Request, cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{LINKS, PROGRAMS};
    use crate::valid_plan::sample;
    use ipc::messages::program::{GlobalValue, ProgramKind, ProgramRequest};

    fn options() -> LoadOptions {
        let program = |name: &str| ProgramRequest {
            name: name.into(),
            kind: ProgramKind::Tcx,
            attach_function: None,
        };
        LoadOptions {
            programs: vec![program("first"), program("second")],
            metadata: BTreeMap::new(),
            globals: vec![],
            map_owner: None,
            maps_mode: Some(0o640),
            maps_group: None,
            source: Source::File("count.o".into()),
        }
    }

    fn check(change: impl FnOnce(&mut LoadOptions)) -> Result<(), Failure> {
        let mut options = options();
        change(&mut options);
        check_load(&options, &sample::valid(sample::plan())?)
    }

    #[test]
    fn one_more_than_each_bound_is_refused() {
        assert!(check(|_| {}).is_ok());
        let full = |count| {
            (0..count)
                .map(|index| (index.to_string(), String::new()))
                .collect()
        };
        assert!(check(|options| options.metadata = full(METADATA_ENTRIES)).is_ok());
        let global = GlobalValue {
            name: "g".into(),
            bytes: vec![],
        };
        let refused: Vec<Result<(), Failure>> = vec![
            check(|options| options.metadata = full(METADATA_ENTRIES + 1)),
            check(|options| {
                options
                    .metadata
                    .insert("k".repeat(METADATA_BYTES + 1), String::new());
            }),
            check(|options| {
                options
                    .metadata
                    .insert("k".into(), "v".repeat(METADATA_BYTES + 1));
            }),
            check(|options| {
                options.metadata.insert(String::new(), String::new());
            }),
            check(|options| options.globals = vec![global.clone(); GLOBALS + 1]),
            check(|options| options.source = Source::File("x".repeat(PATH_BYTES + 1))),
            check(|options| options.maps_mode = Some(0o4640)),
            check(|options| options.maps_group = Some(u32::MAX)),
        ];
        for outcome in refused {
            assert_eq!(outcome.unwrap_err().code, FailureCode::InvalidArgument);
        }
    }

    #[test]
    fn the_plan_must_be_the_one_asked_for() {
        for failure in [
            check(|options| options.programs.truncate(1)).unwrap_err(),
            check(|options| options.programs.reverse()).unwrap_err(),
            check(|options| options.programs[1].kind = ProgramKind::Xdp).unwrap_err(),
        ] {
            assert!(failure.cause.contains("not for the programs"), "{failure}");
        }
    }

    #[test]
    fn mode_and_group_are_for_new_maps() {
        let refused = |change: fn(&mut LoadOptions)| check(change).unwrap_err();
        for failure in [
            refused(|options| options.map_owner = Some(7)),
            refused(|options| {
                (options.map_owner, options.maps_mode) = (Some(7), None);
                options.maps_group = Some(42);
            }),
        ] {
            assert_eq!(failure.code, FailureCode::InvalidArgument);
            assert!(failure.cause.contains("program 7"), "{failure}");
            assert!(
                failure.remedy.contains("when the owner is loaded"),
                "{failure}"
            );
        }
        let neither = |options: &mut LoadOptions| {
            (options.map_owner, options.maps_mode) = (Some(7), None);
        };
        assert!(check(neither).is_ok());
        assert!(
            check(|options| options.map_owner = Some(0)).is_ok(),
            "0 stands for none"
        );
    }

    #[test]
    fn one_program_or_link_more_than_can_be_managed_is_refused() {
        for limit in [PROGRAMS, LINKS] {
            assert!(check_room("programs", limit - 2, 2, limit).is_ok());
            let failure = check_room("programs", limit - 2, 3, limit).unwrap_err();
            assert_eq!(failure.code, FailureCode::ResourceExhausted);
        }
    }
}
