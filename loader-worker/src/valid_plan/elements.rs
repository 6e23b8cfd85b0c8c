//! Elements that the source sets: what may be in which map.

use super::bound;
use crate::limits;
use ipc::messages::failure::Failure;
use ipc::plan::{Element, Elements, LoadPlan, MapPlan};

/// `BPF_MAP_TYPE_PROG_ARRAY`, `_ARRAY_OF_MAPS`, `_HASH_OF_MAPS`.
const PROGRAM_ARRAY: u32 = 3;
const ARRAY_OF_MAPS: u32 = 12;
const HASH_OF_MAPS: u32 = 13;

/// Bounds what a load of the plan does: each program has maps of its own.
pub(super) fn check_number(plan: &LoadPlan) -> Result<(), Failure> {
    let lists = plan.maps.iter().filter_map(|map| map.elements.as_ref());
    let elements: usize = lists.map(|elements| elements.list().len()).sum();
    bound(
        "elements of maps of all programs set in the source",
        elements.saturating_mul(plan.programs.len()),
        limits::LOAD_ELEMENTS,
    )
}

/// Checks the elements of one map; the error says what is wrong with them.
pub(super) fn check(map: &MapPlan, plan: &LoadPlan) -> Result<(), String> {
    let Some(elements) = &map.elements else {
        return Ok(());
    };
    let list = elements.list();
    let fits = match elements {
        Elements::Maps(_) => matches!(map.map_type, ARRAY_OF_MAPS | HASH_OF_MAPS),
        Elements::Programs(_) => map.map_type == PROGRAM_ARRAY,
    };
    if !fits || (map.key_size, map.value_size) != (4, 4) {
        return Err("its elements are neither maps nor programs".into());
    }
    if !list.is_sorted_by(|one, next| one.key < next.key) {
        return Err("its elements are out of order".into());
    }
    // Keys of a hash are any numbers.
    let is_array = map.map_type != HASH_OF_MAPS;
    let too_many = list.len() > map.max_entries as usize;
    if too_many || is_array && list.iter().any(|one| one.key >= map.max_entries) {
        return Err(format!("it has room for {} elements", map.max_entries));
    }
    match elements {
        Elements::Programs(list) => {
            let known = |one: &Element| (one.value as usize) < plan.programs.len();
            all(list, known, "a program that is not in the plan")
        }
        Elements::Maps(list) => {
            let template = map.inner.and_then(|inner| plan.maps.get(inner as usize));
            let template = template.ok_or("its elements are maps of unknown form")?;
            let fits = |one: &Element| {
                let inner = plan.maps.get(one.value as usize);
                inner.is_some_and(|inner| is_like(inner, template))
            };
            all(list, fits, "no map of the plan of that form")
        }
    }
}

fn all(list: &[Element], holds: impl Fn(&Element) -> bool, what: &str) -> Result<(), String> {
    match list.iter().find(|one| !holds(one)) {
        None => Ok(()),
        Some(one) => Err(format!("its element {} is {what}", one.key)),
    }
}

/// Whether a map may stand where the template says what maps look like. The number of entries counts for some types of maps,
/// which the kernel knows.
fn is_like(inner: &MapPlan, template: &MapPlan) -> bool {
    let form = |map: &MapPlan| (map.map_type, map.key_size, map.value_size, map.flags);
    // The kernel nests maps one level deep, and a data section belongs to one program.
    form(inner) == form(template) && inner.inner.is_none() && !inner.internal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::valid_plan::sample;
    use ipc::messages::failure::FailureCode;

    /// The sample with maps in its array of maps and programs in another one.
    fn plan() -> LoadPlan {
        let mut plan = sample::plan();
        let inner = |name: &str| MapPlan::plain(name, 2, (4, 8), 1);
        plan.maps[2].value_size = 4;
        plan.maps[2].max_entries = 3;
        plan.maps[2].elements = Some(Elements::Maps(vec![
            Element { key: 0, value: 4 },
            Element { key: 2, value: 5 },
        ]));
        plan.maps.push(inner("low"));
        plan.maps.push(inner("high"));
        plan.maps.push(MapPlan {
            elements: Some(Elements::Programs(vec![
                Element { key: 0, value: 1 },
                Element { key: 1, value: 1 },
            ])),
            ..MapPlan::plain("calls", PROGRAM_ARRAY, (4, 4), 2)
        });
        plan
    }

    fn refused(change: impl FnOnce(&mut LoadPlan), text: &str) {
        let mut plan = plan();
        change(&mut plan);
        let failure = sample::valid(plan).expect_err(text);
        assert!(failure.cause.contains(text), "{failure}");
    }

    fn elements(map: &mut MapPlan) -> &mut Vec<Element> {
        match map.elements.as_mut() {
            Some(Elements::Maps(list) | Elements::Programs(list)) => list,
            None => panic!("map \"{}\" has no elements", map.name),
        }
    }

    #[test]
    fn maps_and_programs_of_the_plan_may_be_elements() {
        sample::valid(plan()).unwrap();
        // Keys of a hash are no places.
        let mut of_hash = plan();
        of_hash.maps[2].map_type = HASH_OF_MAPS;
        elements(&mut of_hash.maps[2])[1].key = u32::MAX;
        sample::valid(of_hash).unwrap();
    }

    #[test]
    fn who_jumps_is_known() {
        let mut jumping = plan();
        jumping.programs[0].map_slots[1].map = 6;
        let mut third = jumping.programs[1].clone();
        third.name = "third".into();
        jumping.programs.push(third);
        let valid = sample::valid(jumping).unwrap();
        assert!(valid.jumps(0), "it has the array");
        assert!(valid.jumps(1), "it is in the array");
        assert!(!valid.jumps(2) && !valid.jumps(3));
    }

    #[test]
    fn elements_must_be_there() {
        refused(|plan| elements(&mut plan.maps[2])[1].value = 7, "element 2");
        refused(
            |plan| elements(&mut plan.maps[2])[1].value = u32::MAX,
            "element 2",
        );
        refused(|plan| elements(&mut plan.maps[6])[1].value = 2, "element 1");
        refused(
            |plan| elements(&mut plan.maps[6])[0].value = u32::MAX,
            "element 0",
        );
    }

    #[test]
    fn elements_must_fit_their_map() {
        refused(|plan| elements(&mut plan.maps[2])[1].key = 3, "room for 3");
        refused(|plan| elements(&mut plan.maps[6])[1].key = 2, "room for 2");
        refused(|plan| plan.maps[6].max_entries = 0, "room for 0");
        refused(
            |plan| {
                plan.maps[2].map_type = HASH_OF_MAPS;
                plan.maps[2].max_entries = 1;
            },
            "room for 1",
        );
        refused(
            |plan| elements(&mut plan.maps[2])[1].key = 0,
            "out of order",
        );
        refused(|plan| elements(&mut plan.maps[2]).reverse(), "out of order");
        refused(|plan| plan.maps[2].inner = None, "unknown form");
        refused(|plan| plan.maps[6].map_type = 12, "neither maps");
        refused(|plan| plan.maps[2].map_type = 3, "neither maps");
        refused(|plan| plan.maps[2].map_type = 2, "neither maps");
        refused(|plan| plan.maps[6].key_size = 8, "neither maps");
        refused(|plan| plan.maps[6].value_size = 8, "neither maps");
    }

    #[test]
    fn inner_maps_are_of_the_form_of_their_template() {
        // A map of maps, itself, a data section.
        refused(
            |plan| elements(&mut plan.maps[2])[0].value = 2,
            "of that form",
        );
        refused(
            |plan| elements(&mut plan.maps[2])[0].value = 1,
            "of that form",
        );
        refused(|plan| plan.maps[5].value_size = 4, "of that form");
        refused(|plan| plan.maps[5].key_size = 8, "of that form");
        refused(|plan| plan.maps[5].flags = 1, "of that form");
        refused(|plan| plan.maps[5].map_type = 1, "of that form");
    }

    #[test]
    fn one_more_element_than_a_load_may_set_is_refused() {
        let with = |number: usize| {
            let mut plan = plan();
            let room = number / plan.programs.len() - elements(&mut plan.maps[2]).len();
            plan.maps[6].max_entries = u32::MAX;
            *elements(&mut plan.maps[6]) = (0..)
                .map(|key| Element { key, value: 0 })
                .take(room)
                .collect();
            sample::valid(plan)
        };
        with(limits::LOAD_ELEMENTS).unwrap();
        let failure = with(limits::LOAD_ELEMENTS + 2).unwrap_err();
        assert_eq!(failure.code, FailureCode::ResourceExhausted);
    }
}
