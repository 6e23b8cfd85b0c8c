//! The dispatchers, as load plans that were compiled when this crate was built, and the configuration that is written
//! into one before it is loaded.
//!
//! Layouts are those of libxdp's protocol, version 2, and of bpfman's own for clsact; `bpf/src/*_dispatcher.bpf.c` has
//! them in C.

use super::foreign::Slot;
use super::strategy::LIBXDP_MEMBERS;
use crate::plan_intake;
use crate::valid_plan::ValidPlan;
use ipc::messages::chain::HookKind;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::sync::OnceLock;

const XDP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/xdp_dispatcher.plan"));
const TC: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tc_dispatcher.plan"));

const MAGIC: u8 = 236;
const VERSION: u8 = 2;
/// What libxdp gives to programs that say nothing of themselves. bpfman keeps its priorities in its own records.
const RUN_PRIORITY: u32 = 50;
/// Slots that a dispatcher is told to have when the compatibility function is to be reachable.
const ALL_REACHABLE: u8 = 11;

/// The plan of the dispatcher for a hook.
pub fn plan(hook: HookKind) -> Result<&'static ValidPlan, Failure> {
    static XDP_PLAN: OnceLock<Result<ValidPlan, Failure>> = OnceLock::new();
    static TC_PLAN: OnceLock<Result<ValidPlan, Failure>> = OnceLock::new();
    let (cell, bytes) = match hook {
        HookKind::Xdp => (&XDP_PLAN, XDP),
        HookKind::TcIngress | HookKind::TcEgress => (&TC_PLAN, TC),
    };
    cell.get_or_init(|| decode(bytes))
        .as_ref()
        .map_err(Clone::clone)
}

fn decode(bytes: &[u8]) -> Result<ValidPlan, Failure> {
    plan_intake::decode(bytes.to_vec(), plan_intake::digest(bytes)).and_then(ValidPlan::try_from)
}

/// Type id of the function of a slot in the dispatcher's BTF. The compiler puts functions in the order in which they are
/// called, behind the one that calls them.
pub fn function(hook: HookKind, slot: usize) -> Result<u32, Failure> {
    const RECORD: usize = 8;
    let program = &plan(hook)?.plan().programs[0];
    program
        .func_info
        .as_ref()
        .and_then(|table| table.records.as_chunks::<RECORD>().0.get(slot + 1))
        .map(|[_, _, _, _, type_id @ ..]| u32::from_ne_bytes(*type_id))
        .ok_or_else(|| {
            Failure::new(
                FailureCode::Internal,
                Stage::Attach,
                format!("the dispatcher has no function for slot {slot}"),
            )
            .remedy("this is a fault of bpfman, please report it")
        })
}

/// The configuration for these members of a chain of bpfman's: contents of the dispatcher's read-only data.
pub fn configuration(hook: HookKind, masks: &[u32], has_frags: bool) -> Vec<u8> {
    let slot = |proceed_on: &u32| Slot {
        priority: RUN_PRIORITY,
        proceed_on: *proceed_on,
        flags: 0,
    };
    let slots: Vec<Slot> = masks.iter().map(slot).collect();
    let contents = layout([MAGIC, VERSION, 0, u8::from(has_frags)], &slots);
    match hook {
        HookKind::Xdp => contents,
        // No magic, no version, and no flags at the end.
        HookKind::TcIngress | HookKind::TcEgress => {
            let words = &contents[4..contents.len() - 4 * LIBXDP_MEMBERS];
            [&[contents[2], 0, 0, 0], words].concat()
        }
    }
}

/// The configuration for these members of a dispatcher that is libxdp's.
pub fn shared_configuration(slots: &[Slot], has_frags: bool) -> Vec<u8> {
    layout([MAGIC, VERSION, 0, u8::from(has_frags)], slots)
}

fn layout([magic, version, _, has_frags]: [u8; 4], slots: &[Slot]) -> Vec<u8> {
    // At most ten, see `strategy`.
    let count = u8::try_from(slots.len()).unwrap_or(ALL_REACHABLE);
    let empty = Slot {
        priority: RUN_PRIORITY,
        proceed_on: 0,
        flags: 0,
    };
    let slot = |index: usize| slots.get(index).copied().unwrap_or(empty);
    let each = |word: fn(Slot) -> u32| (0..LIBXDP_MEMBERS).map(move |index| word(slot(index)));
    let words = each(|slot| slot.proceed_on)
        .chain(each(|slot| slot.priority))
        .chain(each(|slot| slot.flags));
    [magic, version, count, has_frags]
        .into_iter()
        .chain(words.flat_map(u32::to_ne_bytes))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_have_the_layout_of_the_protocol() {
        let xdp = configuration(HookKind::Xdp, &[0x8000_0004, 2], true);
        assert_eq!(xdp.len(), 124);
        assert_eq!(xdp[..4], [236, 2, 2, 1]);
        assert_eq!(xdp[4..8], 0x8000_0004_u32.to_ne_bytes());
        assert_eq!(xdp[8..12], 2_u32.to_ne_bytes());
        assert_eq!(xdp[12..44], [0; 32]);
        assert_eq!(xdp[44..48], 50_u32.to_ne_bytes());
        assert_eq!(xdp[80..84], 50_u32.to_ne_bytes());
        assert_eq!(xdp[84..], [0; 40]);
        let tc = configuration(HookKind::TcEgress, &[1], false);
        assert_eq!(tc.len(), 84);
        assert_eq!(tc[..8], [1, 0, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn a_shared_configuration_keeps_what_others_say_of_their_members() {
        let slot = |priority, proceed_on, flags| Slot {
            priority,
            proceed_on,
            flags,
        };
        let slots = [slot(10, 4, 32), slot(70, 0x8000_0002, 0)];
        let contents = shared_configuration(&slots, true);
        assert_eq!(contents[..4], [236, 2, 2, 1]);
        let read = super::super::foreign::parse(&contents);
        assert_eq!((read.version, read.slots), (2, slots.to_vec()));
    }

    #[test]
    fn plans_are_valid_and_take_a_configuration() {
        for hook in HookKind::ALL {
            let plan = plan(hook).unwrap().plan();
            assert_eq!(plan.maps.len(), 1, "{hook}");
            assert_eq!(
                plan.maps[0].value_size as usize,
                configuration(hook, &[], false).len()
            );
            assert!(plan.maps[0].freeze, "{:?}", plan.maps[0]);
        }
    }

    /// By the names in the BTF, as another reader of it sees them.
    #[test]
    fn functions_of_slots_have_the_names_of_the_protocol() {
        for hook in HookKind::ALL {
            let blob = plan(hook).unwrap().plan().btf.clone().unwrap();
            let btf = aya_obj::btf::Btf::parse(&blob, object::Endianness::Little).unwrap();
            for slot in 0..=LIBXDP_MEMBERS {
                let name = if slot < LIBXDP_MEMBERS {
                    format!("prog{slot}")
                } else {
                    "compat_test".to_owned()
                };
                let expected = btf
                    .id_by_type_name_kind(&name, aya_obj::btf::BtfKind::Func)
                    .unwrap();
                assert_eq!(function(hook, slot).unwrap(), expected, "{hook} {name}");
            }
            assert!(function(hook, LIBXDP_MEMBERS + 1).is_err());
        }
    }
}
