//! What a chain cannot take: refused, and it is as before.

use super::{Scene, strategies, veth};
use crate::host::with_host;
use ipc::messages::chain::Strategy;
use ipc::messages::failure::FailureCode;
use ipc::messages::program::ProgramKind;

#[test]
fn a_chain_takes_so_many_members_and_not_one_more() {
    with_host(|host| {
        veth();
        for (strategy, limit) in [(Strategy::Libxdp, 10), (Strategy::Fused, 64)] {
            if !strategies().contains(&strategy) {
                continue;
            }
            let mut scene = Scene::new(host, "xdp_member", ProgramKind::Xdp);
            let member = scene.load(7, 2);
            for priority in 0..limit {
                let spec = scene.spec(priority, &[], (priority == 0).then_some(strategy));
                scene.try_attach(&member, spec).unwrap();
            }
            assert_eq!(scene.trail(), vec![7; limit as usize], "{strategy}");
            let spec = scene.spec(limit, &[], None);
            let failure = scene.try_attach(&member, spec).unwrap_err();
            assert_eq!(
                failure.cause,
                format!("no free dispatcher slots (all {limit} occupied)")
            );
            assert_eq!(scene.trail(), vec![7; limit as usize], "{strategy}");
            assert_eq!(scene.dispatcher().member_count, limit as u32);
            scene.clean();
        }
    });
}

#[test]
fn maps_of_all_members_are_as_many_as_a_program_can_use() {
    with_host(|host| {
        veth();
        let mut scene = Scene::new(host, "xdp_member", ProgramKind::Xdp);
        let mut last = 0;
        let failure = loop {
            // Maps of its own.
            scene.owner = None;
            let member = scene.load(7, 2);
            let spec = scene.spec(last, &[], (last == 0).then_some(Strategy::Fused));
            match scene.try_attach(&member, spec) {
                Ok(_) => last += 1,
                Err(failure) => break failure,
            }
        };
        assert_eq!(failure.code, FailureCode::ResourceExhausted, "{failure}");
        let words = "the kernel lets a program use 64";
        assert!(failure.cause.contains(words), "{failure}");
        assert!(failure.verifier_log.is_none(), "{failure}");
        // Three of each, and one that counts.
        assert_eq!(last, 21);
        assert_eq!(scene.dispatcher().member_count, 21);
        scene.clean();
    });
}

#[test]
fn what_cannot_be_fused_is_refused_with_the_log_and_nothing_changes() {
    with_host(|host| {
        veth();
        let mut scene = Scene::new(host, "xdp_member", ProgramKind::Xdp);
        let member = scene.load(1, 2);
        let spec = scene.spec(1, &[], Some(Strategy::Fused));
        scene.try_attach(&member, spec).unwrap();
        scene.name = "xdp_deep";
        let deep = scene.load_plain();
        let spec = scene.spec(2, &[], None);
        let failure = scene.try_attach(&deep, spec).unwrap_err();
        assert_eq!(failure.code, FailureCode::Rejected, "{failure}");
        assert!(failure.cause.contains("fused of"), "{failure}");
        let log = failure.verifier_log.as_deref().unwrap_or_default();
        assert!(log.contains("stack"), "{log}");
        assert_eq!(scene.trail(), [1]);
        assert_eq!(scene.dispatcher().member_count, 1);
        scene.clean();
    });
}
