//! `Load` as a load request. Pure.

use super::programs;
use crate::proto::bytecode_location::Location;
use crate::proto::prog_specific_info::Info;
use crate::proto::{BytecodeImage, BytecodeLocation, LoadInfo, LoadRequest};
use ipc::messages::program::{GlobalValue, LoadOptions, ProgramKind, ProgramRequest, Source};
use ipc::messages::pull::{ImageSource, PullPolicy};
use std::collections::BTreeMap;
use tonic::Status;

/// A key of metadata with this beginning and the name of a program overrides its type: the interface has no numbers for
/// kinds like `kretprobe`.
const ACTUAL_TYPE: &str = "bpfman.io/actual-type:";

/// The request in the form that `bpfmanctl` makes it, and where the bytecode is, as the client said it.
///
/// # Errors
///
/// `InvalidArgument` for what is missing or out of range; `Internal` for a program that lacks its function, as the
/// established service has it.
pub(super) fn translate(request: LoadRequest) -> Result<(LoadOptions, BytecodeLocation), Status> {
    let bytecode = request
        .bytecode
        .ok_or_else(|| Status::invalid_argument("bytecode is missing"))?;
    if request.info.is_empty() {
        return Err(Status::invalid_argument("no program is named in `info`"));
    }
    let source = match &bytecode.location {
        None => {
            return Err(Status::invalid_argument(
                "bytecode has neither an image nor a file",
            ));
        }
        Some(Location::Image(image)) => Source::Image(ImageSource {
            url: image.url.clone(),
            pull_policy: policy(image)?,
            origin: None,
        }),
        Some(Location::File(path)) => Source::File(path.clone()),
    };
    let metadata = request.metadata;
    let programs = request
        .info
        .into_iter()
        .map(|info| program(info, &metadata))
        .collect::<Result<_, _>>()?;
    let globals = request.global_data.into_iter();
    let options = LoadOptions {
        programs,
        globals: globals
            .map(|(name, bytes)| GlobalValue { name, bytes })
            .collect(),
        metadata,
        // 0 stands for none.
        map_owner: request.map_owner_id.filter(|id| *id != 0),
        maps_mode: None,
        maps_group: None,
        source,
    };
    Ok((options, bytecode))
}

/// When the registry is asked.
///
/// # Errors
///
/// `InvalidArgument` for a number that is no policy.
pub(super) fn policy(image: &BytecodeImage) -> Result<PullPolicy, Status> {
    let number = image.image_pull_policy;
    usize::try_from(number)
        .ok()
        .and_then(|position| PullPolicy::ALL.get(position).copied())
        .ok_or_else(|| {
            Status::invalid_argument(format!(
                "{number} is no image pull policy: 0 is Always, 1 IfNotPresent, 2 Never"
            ))
        })
}

fn program(info: LoadInfo, metadata: &BTreeMap<String, String>) -> Result<ProgramRequest, Status> {
    if info.name.is_empty() {
        return Err(Status::invalid_argument("the name of a program is empty"));
    }
    let declared = programs::kind(info.program_type.into()).ok_or_else(|| {
        Status::invalid_argument(format!(
            "{} is no type of program, for \"{}\"",
            info.program_type, info.name
        ))
    })?;
    let actual = metadata
        .get(&format!("{ACTUAL_TYPE}{}", info.name))
        .and_then(|name| name.parse().ok());
    let kind = actual.unwrap_or(declared);
    let specific = info.info.and_then(|specific| specific.info);
    let function = match (kind, specific) {
        (ProgramKind::Fentry, Some(Info::FentryLoadInfo(fentry))) => fentry.fn_name,
        (ProgramKind::Fexit, Some(Info::FexitLoadInfo(fexit))) => fexit.fn_name,
        (ProgramKind::Lsm, Some(Info::LsmLoadInfo(lsm))) => lsm.hook_name,
        _ => String::new(),
    };
    let needs_function = matches!(
        kind,
        ProgramKind::Fentry | ProgramKind::Fexit | ProgramKind::Lsm
    );
    if needs_function && function.is_empty() {
        return Err(Status::internal(format!(
            "{kind} program \"{}\" names no function: its `info` is missing",
            info.name
        )));
    }
    Ok(ProgramRequest {
        name: info.name,
        kind,
        attach_function: needs_function.then_some(function),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{BpfmanProgramType, FentryLoadInfo, ProgSpecificInfo};
    use tonic::Code;

    fn file() -> Option<BytecodeLocation> {
        Some(BytecodeLocation {
            location: Some(Location::File("/opt/counter.o".to_owned())),
        })
    }

    fn info(name: &str, program_type: BpfmanProgramType) -> LoadInfo {
        LoadInfo {
            name: name.to_owned(),
            program_type: program_type.into(),
            info: None,
        }
    }

    fn request() -> LoadRequest {
        LoadRequest {
            bytecode: file(),
            info: vec![info("a", BpfmanProgramType::Xdp)],
            ..LoadRequest::default()
        }
    }

    #[test]
    fn requests_keep_their_order_and_0_owns_nothing() {
        let (options, bytecode) = translate(LoadRequest {
            info: vec![
                info("b", BpfmanProgramType::Tcx),
                info("a", BpfmanProgramType::Xdp),
            ],
            map_owner_id: Some(0),
            uuid: Some("ignored".to_owned()),
            global_data: BTreeMap::from([("limit".to_owned(), vec![1])]),
            ..request()
        })
        .unwrap();
        let names: Vec<&str> = options
            .programs
            .iter()
            .map(|program| program.name.as_str())
            .collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(options.map_owner, None);
        assert_eq!(options.globals[0].bytes, [1]);
        assert_eq!(Some(bytecode), file());
    }

    #[test]
    fn images_have_one_of_three_policies() {
        let of = |image_pull_policy| {
            let image = BytecodeImage {
                url: "registry.example/counter:v1".to_owned(),
                image_pull_policy,
                ..BytecodeImage::default()
            };
            let bytecode = Some(BytecodeLocation {
                location: Some(Location::Image(image)),
            });
            translate(LoadRequest {
                bytecode,
                ..request()
            })
        };
        for (number, policy) in [
            (0, PullPolicy::Always),
            (1, PullPolicy::IfNotPresent),
            (2, PullPolicy::Never),
        ] {
            let Source::Image(source) = of(number).unwrap().0.source else {
                panic!("no image");
            };
            assert_eq!(source.pull_policy, policy);
        }
        for number in [-1, 3] {
            assert_eq!(of(number).unwrap_err().code(), Code::InvalidArgument);
        }
    }

    #[test]
    fn metadata_overrides_the_type_of_the_program_it_names() {
        let metadata = [
            ("bpfman.io/actual-type:a", "kretprobe"),
            ("bpfman.io/actual-type:b", "nonsense"),
        ];
        let (options, _) = translate(LoadRequest {
            info: vec![
                info("a", BpfmanProgramType::Kprobe),
                info("b", BpfmanProgramType::Uprobe),
                info("c", BpfmanProgramType::Kprobe),
            ],
            metadata: metadata
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..request()
        })
        .unwrap();
        let kinds: Vec<ProgramKind> = options
            .programs
            .iter()
            .map(|program| program.kind)
            .collect();
        assert_eq!(
            kinds,
            [
                ProgramKind::Kretprobe,
                ProgramKind::Uprobe,
                ProgramKind::Kprobe
            ]
        );
        assert_eq!(options.metadata.len(), 2, "the keys stay");
    }

    #[test]
    fn functions_come_from_the_info_of_their_own_kind() {
        let fentry = |program_type| LoadInfo {
            info: Some(ProgSpecificInfo {
                info: Some(Info::FentryLoadInfo(FentryLoadInfo {
                    fn_name: "do_unlinkat".to_owned(),
                })),
            }),
            ..info("a", program_type)
        };
        let of = |info| {
            translate(LoadRequest {
                info: vec![info],
                ..request()
            })
        };
        let (options, _) = of(fentry(BpfmanProgramType::Fentry)).unwrap();
        assert_eq!(
            options.programs[0].attach_function.as_deref(),
            Some("do_unlinkat")
        );
        for missing in [
            fentry(BpfmanProgramType::Fexit),
            info("a", BpfmanProgramType::Fentry),
            info("a", BpfmanProgramType::Lsm),
        ] {
            assert_eq!(of(missing).unwrap_err().code(), Code::Internal);
        }
    }
}
