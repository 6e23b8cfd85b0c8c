//! Whether a map can stand in for another. Pure.

use ipc::messages::kernel::KernelMap;
use ipc::plan::MapPlan;

/// How a map differs from what an object declares; `None` when a program cannot tell the two apart.
pub fn difference(plan: &MapPlan, found: &KernelMap) -> Option<String> {
    // 0 entries stand for one per possible CPU.
    let entries = if plan.max_entries == 0 {
        found.max_entries
    } else {
        plan.max_entries
    };
    let properties = [
        ("type", plan.map_type, found.map_type),
        ("key size", plan.key_size, found.key_size),
        ("value size", plan.value_size, found.value_size),
        ("number of entries", entries, found.max_entries),
        ("flags", plan.flags, found.flags),
    ];
    properties
        .into_iter()
        .find(|(_, wanted, has)| wanted != has)
        .map(|(what, wanted, has)| format!("its {what} is {has}, the object declares {wanted}"))
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
        assert_eq!(difference(&plan, &same), None);
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
        ];
        for found in different {
            assert!(difference(&plan, &found).unwrap().contains("is 99"));
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
                }
            ),
            None
        );
    }
}
