//! Maps, programs, pins and their information, against the running kernel.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

mod kernel_support;

use ipc::messages::program::ProgramKind;
use ipc::plan::MapPlan;
use kernel_support::{isolated, load, plan};
use loader_worker::kernel::{btf, cpus, info, map, pin, program};
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;

fn array(name: &str) -> MapPlan {
    MapPlan::plain(name, 2, (4, 8), 1)
}

#[test]
fn a_frozen_map_keeps_its_contents() {
    isolated(|_| {
        let map = map::create(&array("x"), None, None, "a name longer than fits").unwrap();
        map::write_initial(map.as_fd(), &7_u64.to_ne_bytes()).unwrap();
        assert!(!info::map(map.as_fd()).unwrap().frozen);
        map::freeze(map.as_fd()).unwrap();
        let refused = map::write_initial(map.as_fd(), &8_u64.to_ne_bytes()).unwrap_err();
        assert_eq!(refused.errno, Errno::PERM);
        assert_eq!(
            map::lookup(map.as_fd(), &0_u32.to_ne_bytes()).unwrap(),
            7_u64.to_ne_bytes()
        );
        let info = info::map(map.as_fd()).unwrap();
        assert_eq!(
            (info.name.as_str(), info.map_type, info.max_entries),
            ("a_name_longer_t", 2, 1)
        );
        assert!(info.frozen);
        assert!(info.memlock.unwrap() > 0);
    });
}

#[test]
fn elements_of_the_wrong_size_do_not_reach_the_kernel() {
    isolated(|_| {
        let map = map::create(&array("x"), None, None, "x").unwrap();
        let key = 0_u32.to_ne_bytes();
        assert_eq!(
            map::update(map.as_fd(), &key, &[0; 7]).unwrap_err().errno,
            Errno::INVAL
        );
        assert_eq!(
            map::update(map.as_fd(), &[0; 3], &[0; 8])
                .unwrap_err()
                .errno,
            Errno::INVAL
        );
        assert_eq!(
            map::lookup(map.as_fd(), &[]).unwrap_err().errno,
            Errno::INVAL
        );
    });
}

#[test]
fn maps_of_all_types_are_made() {
    isolated(|_| {
        let loaded = load(bpf::MAPS, &[("uses_all", ProgramKind::Tc)]);
        let samples = info::map(loaded.map("samples")).unwrap();
        assert_eq!(samples.max_entries, cpus::possible().unwrap());
        let (program, stats) = info::program(loaded.programs[0].as_fd()).unwrap();
        assert_eq!(program.name, "uses_all");
        assert_eq!(program.prog_type, 3);
        assert!(
            program.map_ids.contains(&samples.id),
            "{:?}",
            program.map_ids
        );
        assert!(program.gpl_compatible && program.verified_insns > 0 && program.xlated_size > 0);
        assert_ne!(program.btf_id, 0);
        assert_ne!(program.tag, [0; 8]);
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
        assert!(
            (now - program.loaded_at).abs() <= 2,
            "{} against {now}",
            program.loaded_at
        );
        assert_eq!(stats.run_count, 0);
    });
}

#[test]
fn per_cpu_values_come_for_all_cpus() {
    isolated(|_| {
        let loaded = load(bpf::COUNTER, &[("xdp_count", ProgramKind::Xdp)]);
        let values = map::lookup(loaded.map("traffic"), &0_u32.to_ne_bytes()).unwrap();
        assert_eq!(values.len(), 16 * cpus::possible().unwrap() as usize);
    });
}

#[test]
fn a_rejected_program_comes_with_the_whole_log() {
    isolated(|_| {
        let plan = plan(bpf::INVALID, &[("rejected", ProgramKind::Tcx)]);
        let btf = btf::load(plan.btf.as_deref().unwrap()).unwrap();
        let maps: Vec<_> = plan
            .maps
            .iter()
            .map(|map| map::create(map, Some(btf.as_fd()), None, &map.name).unwrap())
            .collect();
        let maps: Vec<_> = maps.iter().map(AsFd::as_fd).collect();
        let error =
            program::load(&plan.programs[0], &plan.license, Some(btf.as_fd()), &maps).unwrap_err();
        assert_eq!(error.errno, Errno::ACCESS);
        let log = error.verifier_log.unwrap();
        assert!(log.contains("map_value_or_null"), "the cause: {log}");
        assert!(log.contains("return *value > 10"), "the source line: {log}");
        assert!(log.contains("processed"), "the end: {log}");
    });
}

#[test]
fn a_log_longer_than_the_bound_keeps_its_end() {
    isolated(|_| {
        const ADD_ONE: [u8; 8] = [0x07, 0, 0, 0, 1, 0, 0, 0];
        const ZERO: [u8; 8] = [0xb7, 0, 0, 0, 0, 0, 0, 0];
        const READ_NOTHING: [u8; 8] = [0xbf, 0x50, 0, 0, 0, 0, 0, 0];
        const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];
        let mut plan = plan(bpf::COUNTER, &[("xdp_count", ProgramKind::Xdp)])
            .programs
            .remove(0);
        plan.map_slots.clear();
        plan.instructions = [
            ZERO.to_vec(),
            ADD_ONE.repeat(60_000),
            READ_NOTHING.to_vec(),
            EXIT.to_vec(),
        ]
        .concat();
        (plan.func_info, plan.line_info) = (None, None);
        let error = program::load(&plan, "GPL", None, &[]).unwrap_err();
        let log = error.verifier_log.unwrap();
        assert_eq!(log.len(), ipc::limits::VERIFIER_LOG_BYTES);
        assert!(log.contains("R5 !read_ok"), "{}", &log[log.len() - 200..]);
    });
}

#[test]
fn btf_of_rubbish_is_refused() {
    isolated(|_| {
        assert_eq!(btf::load(&[0; 64]).unwrap_err().errno, Errno::INVAL);
    });
}

#[test]
fn a_license_decides_what_a_program_may_call() {
    isolated(|_| {
        let plan = plan(bpf::BARE, &[("bare_count", ProgramKind::Tc)]);
        assert_eq!(plan.license, "");
        let maps: Vec<_> = plan
            .maps
            .iter()
            .map(|map| map::create(map, None, None, &map.name).unwrap())
            .collect();
        let maps: Vec<_> = maps.iter().map(AsFd::as_fd).collect();
        let program = program::load(&plan.programs[0], &plan.license, None, &maps).unwrap();
        assert!(!info::program(program.as_fd()).unwrap().0.gpl_compatible);
    });
}

#[test]
fn pins_are_found_again_with_their_modes() {
    isolated(|bpffs| {
        let map = map::create(&array("pinned"), None, None, "pinned").unwrap();
        let path = bpffs.join("maps/7/pinned");
        assert!(!pin::exists(&path).unwrap());
        pin::pin(map.as_fd(), &path).unwrap();
        assert!(pin::exists(&path).unwrap());
        let mode =
            |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&bpffs.join("maps")), 0o755);
        pin::set_mode(&path, 0o640).unwrap();
        assert_eq!(mode(&path), 0o640);
        assert_eq!(
            pin::pin(map.as_fd(), &path).unwrap_err().errno,
            Errno::EXIST
        );

        let again = pin::get(&path).unwrap();
        assert_eq!(
            info::map(again.as_fd()).unwrap().id,
            info::map(map.as_fd()).unwrap().id
        );
        assert!(pin::unlink(&path).unwrap());
        assert!(!pin::unlink(&path).unwrap());
        assert!(pin::get(&path).unwrap_err().is_not_found());
    });
}
