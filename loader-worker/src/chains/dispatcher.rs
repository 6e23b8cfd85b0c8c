//! The dispatchers, as load plans that were compiled when this crate was built, and the configuration that is written
//! into one before it is loaded.
//!
//! Layouts are those of libxdp's protocol, version 2, and of bpfman's own for clsact; `bpf/src/*_dispatcher.bpf.c` has
//! them in C.

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

/// The configuration for these members: contents of the dispatcher's read-only data.
pub fn configuration(hook: HookKind, masks: &[u32], has_frags: bool) -> Vec<u8> {
    // At most ten, see `strategy`.
    let count = u8::try_from(masks.len()).unwrap_or(ALL_REACHABLE);
    let head = match hook {
        HookKind::Xdp => [MAGIC, VERSION, count, u8::from(has_frags)],
        HookKind::TcIngress | HookKind::TcEgress => [count, 0, 0, 0],
    };
    let actions = (0..LIBXDP_MEMBERS).map(|slot| masks.get(slot).copied().unwrap_or_default());
    let priorities = std::iter::repeat_n(RUN_PRIORITY, LIBXDP_MEMBERS);
    let flags = std::iter::repeat_n(
        0,
        if hook == HookKind::Xdp {
            LIBXDP_MEMBERS
        } else {
            0
        },
    );
    let words = actions.chain(priorities).chain(flags);
    head.into_iter()
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
