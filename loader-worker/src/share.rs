//! Maps that are there already and stand in for those that an object declares: those of a map set, and those that are
//! shared by name.

use crate::kernel::{info, pin};
use crate::steps::Sharing;
use crate::store::records::MapForm;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::kernel::KernelMap;
use ipc::plan::{MapPlan, MapType};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Opens a map, if it is what the object declares.
pub fn open(
    plan: &MapPlan,
    path: &Path,
    with: Sharing,
    form: Option<&MapForm>,
) -> Result<OwnedFd, Failure> {
    let (what, (missing, find), remedy) = match with {
        Sharing::Owner(owner) => (
            format!("load shared map \"{}\" from owner {owner}", plan.name),
            (
                "the owner has no map of this name",
                "see `bpfmanctl program get OWNER` for its maps",
            ),
            "load an object that declares the same maps as the owner's",
        ),
        Sharing::Name => (
            format!("share map \"{}\" by name", plan.name),
            ("it was taken away", "see `bpfmanctl doctor`"),
            "declare the map as the programs that share it do, or give it another name",
        ),
    };
    let refused = |code, reason: &str| Failure::new(code, Stage::Maps, format!("{what}: {reason}"));
    let opened = pin::get(path).map_err(|error| {
        if error.is_not_found() {
            refused(FailureCode::FailedPrecondition, missing).remedy(find)
        } else {
            refused(FailureCode::Internal, &error.to_string())
        }
    })?;
    let found = info::map(opened.as_fd())
        .map_err(|error| refused(FailureCode::Internal, &error.to_string()))?;
    match difference(plan, &found, form) {
        None => Ok(opened),
        Some(difference) => {
            let reason = format!("incompatible shared map: {difference}");
            Err(refused(FailureCode::FailedPrecondition, &reason).remedy(remedy))
        }
    }
}

/// How a map differs from what an object declares; `None` when a program cannot tell the two apart. Types count where both
/// sides are known to have them.
fn difference(plan: &MapPlan, found: &KernelMap, form: Option<&MapForm>) -> Option<String> {
    // 0 entries stand for one per possible CPU.
    let entries = if plan.max_entries == 0 {
        found.max_entries
    } else {
        plan.max_entries
    };
    let hash_functions = u32::try_from(found.map_extra).unwrap_or(u32::MAX);
    let properties = [
        ("type", plan.map_type, found.map_type),
        ("key size", plan.key_size, found.key_size),
        ("value size", plan.value_size, found.value_size),
        ("number of entries", entries, found.max_entries),
        ("flags", plan.flags, found.flags),
        (
            "number of hash functions",
            plan.hash_functions.into(),
            hash_functions,
        ),
    ];
    let numbers = properties
        .into_iter()
        .find(|(_, wanted, has)| wanted != has)
        .map(|(what, wanted, has)| format!("its {what} is {has}, the object declares {wanted}"));
    let types = || {
        let form = form?;
        let keys = different_type("key type", plan.key_type.as_ref(), form.key.as_ref());
        keys.or_else(|| different_type("value type", plan.value_type.as_ref(), form.value.as_ref()))
    };
    numbers.or_else(types)
}

fn different_type(what: &str, wanted: Option<&MapType>, has: Option<&MapType>) -> Option<String> {
    let (wanted, has) = wanted.zip(has)?;
    if wanted.digest == has.digest {
        return None;
    }
    let within = if wanted.text == has.text {
        "; they differ in the types within"
    } else {
        ""
    };
    Some(format!(
        "its {what} is {}, the object declares {}{within}",
        has.text, wanted.text
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::valid_plan::sample;

    #[test]
    fn every_property_counts() {
        let plan = sample::plan().maps[0].clone();
        let same = KernelMap {
            map_type: plan.map_type,
            key_size: plan.key_size,
            value_size: plan.value_size,
            max_entries: plan.max_entries,
            flags: plan.flags,
            ..KernelMap::default()
        };
        assert_eq!(difference(&plan, &same, None), None);
        let different = [
            KernelMap {
                map_type: 99,
                ..same.clone()
            },
            KernelMap {
                key_size: 99,
                ..same.clone()
            },
            KernelMap {
                value_size: 99,
                ..same.clone()
            },
            KernelMap {
                max_entries: 99,
                ..same.clone()
            },
            KernelMap {
                flags: 99,
                ..same.clone()
            },
            KernelMap {
                map_extra: 99,
                ..same.clone()
            },
        ];
        for found in different {
            assert!(difference(&plan, &found, None).unwrap().contains("is 99"));
        }
        let per_cpu = MapPlan {
            max_entries: 0,
            ..plan
        };
        assert_eq!(
            difference(
                &per_cpu,
                &KernelMap {
                    max_entries: 64,
                    ..same
                },
                None
            ),
            None
        );
    }

    #[test]
    fn types_count_where_both_are_known() {
        let described = |text: &str, digest| MapType {
            text: text.into(),
            digest: [digest; 32],
        };
        let plan = MapPlan {
            key_type: Some(described("u32", 1)),
            value_type: Some(described("struct event { u32 pid; }", 2)),
            ..sample::plan().maps[0].clone()
        };
        let found = KernelMap {
            map_type: plan.map_type,
            key_size: plan.key_size,
            value_size: plan.value_size,
            max_entries: plan.max_entries,
            flags: plan.flags,
            ..KernelMap::default()
        };
        let form = |key, value| MapForm {
            name: plan.name.clone(),
            by_name: true,
            key,
            value,
        };
        let compare = |key, value| difference(&plan, &found, Some(&form(key, value)));
        assert_eq!(compare(None, None), None);
        assert_eq!(
            compare(Some(described("u32", 1)), plan.value_type.clone()),
            None
        );
        assert_eq!(
            compare(Some(described("float32", 3)), None).unwrap(),
            "its key type is float32, the object declares u32"
        );
        assert_eq!(
            compare(None, Some(described("struct flow { u64 bytes; }", 4))).unwrap(),
            "its value type is struct flow { u64 bytes; }, the object declares struct event { u32 pid; }"
        );
        let within = compare(None, Some(described("struct event { u32 pid; }", 5))).unwrap();
        assert!(
            within.ends_with("they differ in the types within"),
            "{within}"
        );
        let untyped = MapPlan {
            key_type: None,
            value_type: None,
            ..plan.clone()
        };
        let typed = form(plan.key_type.clone(), plan.value_type.clone());
        assert_eq!(difference(&untyped, &found, Some(&typed)), None);
    }
}
