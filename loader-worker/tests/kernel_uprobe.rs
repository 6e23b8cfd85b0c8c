//! Uprobe links against the running kernel, on functions of this test's own binary.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests panic"
)]

mod kernel_support;

use ipc::messages::attach::{AttachSpec, LinkDetails, ProbePlace};
use ipc::messages::failure::FailureCode;
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::program::ProgramKind;
use kernel_support::{Loaded, isolated, load};
use loader_worker::helper;
use loader_worker::kernel::{pin, probe, program};
use loader_worker::kinds::{self, AttachRequest, Hook, Prepared, Release, Target};
use std::fs::File;
use std::os::fd::AsFd;

/// One function for each test, so that tests which run at the same time do not count one another's calls; their numbers keep
/// the compiler from making one of them.
macro_rules! probed {
    ($($name:ident $own:literal),*) => { $(
        #[inline(never)]
        fn $name(number: u64) -> u64 {
            std::hint::black_box(number ^ $own)
        }
    )* };
}
probed!(entered 1, returned 2, filtered 3, by_helper 4);

fn call(function: fn(u64) -> u64, times: u64) {
    let function = std::hint::black_box(function);
    for number in 0..times {
        std::hint::black_box(function(number));
    }
}

/// Where a function of this binary lies in its file.
fn file_offset(function: fn(u64) -> u64) -> u64 {
    let address = function as usize as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (start, end) = fields[0].split_once('-').unwrap();
        let hex = |text| u64::from_str_radix(text, 16).unwrap();
        if (hex(start)..hex(end)).contains(&address) {
            return address - hex(start) + hex(fields[2]);
        }
    }
    panic!("{address:#x} is not mapped");
}

fn own_binary() -> File {
    File::open("/proc/self/exe").unwrap()
}

fn uprobe(pid: Option<i32>) -> AttachSpec {
    AttachSpec::Uprobe {
        target: "the test".into(),
        path: "/the/test".into(),
        function: Some("probed".into()),
        offset: 0,
        pid,
        container_pid: None,
    }
}

/// Where the kernel has uprobe_multi links; elsewhere says why not and passes.
fn with_multi(test: impl FnOnce(&std::path::Path) + Send + 'static) {
    isolated(|bpffs| match probe::uprobe_multi() {
        Ok(()) => test(bpffs),
        Err(missing) => kernel_support::skipped(missing),
    });
}

#[test]
fn calls_are_counted_until_the_link_is_detached() {
    with_multi(|bpffs| {
        let loaded = load(bpf::COUNTER, &[("uprobe_count", ProgramKind::Uprobe)]);
        let file = own_binary();
        let target = Target {
            file: file.as_fd(),
            places: &[ProbePlace::at(file_offset(entered))],
        };
        let attached = loaded.attach(0, &uprobe(None), Some(target), &[]).unwrap();
        assert_eq!(attached.kind, ProgramKind::Uprobe);
        assert_eq!(attached.kernel.link_type, 12);
        drop(file);
        let path = kernel_support::pin_link(bpffs, 5, &uprobe(None), &attached);
        drop(attached);
        call(entered, 10);
        assert_eq!(loaded.count("uprobe_count"), 10);
        assert_eq!(kinds::detach(&path).unwrap(), Release::Detached);
        call(entered, 10);
        assert_eq!(
            loaded.count("uprobe_count"),
            10,
            "it counted after detach had returned"
        );
    });
}

#[test]
fn a_uretprobe_program_makes_a_uretprobe_link() {
    with_multi(|_| {
        let loaded = load(bpf::COUNTER, &[("uretprobe_count", ProgramKind::Uretprobe)]);
        let file = own_binary();
        let target = Target {
            file: file.as_fd(),
            places: &[ProbePlace::at(file_offset(returned))],
        };
        let attached = loaded.attach(0, &uprobe(None), Some(target), &[]).unwrap();
        assert_eq!(attached.kind, ProgramKind::Uretprobe);
        match attached.details {
            LinkDetails::Uprobe {
                retprobe,
                file_offset,
                ..
            } => {
                assert!(retprobe);
                assert_eq!(file_offset, target.places[0].offset);
            }
            other => panic!("{other:?}"),
        }
        call(returned, 4);
        assert_eq!(loaded.count("uretprobe_count"), 4);
    });
}

#[test]
fn one_process_is_watched_when_asked_for() {
    with_multi(|_| {
        let file = own_binary();
        let target = Target {
            file: file.as_fd(),
            places: &[ProbePlace::at(file_offset(filtered))],
        };
        let attach = |loaded: &Loaded, pid| loaded.attach(0, &uprobe(Some(pid)), Some(target), &[]);
        let [own, other, none] =
            [(); 3].map(|()| load(bpf::COUNTER, &[("uprobe_count", ProgramKind::Uprobe)]));
        let _own = attach(&own, i32::try_from(std::process::id()).unwrap()).unwrap();
        let _other = attach(&other, 1).unwrap();
        // Process ids end at 4194304.
        let failure = attach(&none, 4_194_305).unwrap_err();
        assert_eq!(
            (failure.code, failure.cause.as_str()),
            (FailureCode::NotFound, "process 4194305 does not exist")
        );
        assert_eq!(
            attach(&none, -2).unwrap_err().code,
            FailureCode::InvalidArgument
        );
        call(filtered, 6);
        assert_eq!(
            own.count("uprobe_count"),
            6,
            "a thread of the process counts"
        );
        assert_eq!(other.count("uprobe_count"), 0);
    });
}

#[test]
fn a_place_outside_the_file_is_refused() {
    with_multi(|_| {
        let loaded = load(bpf::COUNTER, &[("uprobe_count", ProgramKind::Uprobe)]);
        let file = own_binary();
        let target = Target {
            file: file.as_fd(),
            places: &[ProbePlace::at(1 << 40)],
        };
        let failure = loaded
            .attach(0, &uprobe(None), Some(target), &[])
            .unwrap_err();
        assert_eq!(failure.code, FailureCode::InvalidArgument, "{failure}");
        assert!(failure.cause.contains("the test"), "{failure}");
        let failure = loaded.attach(0, &uprobe(None), None, &[]).unwrap_err();
        assert_eq!(failure.code, FailureCode::InvalidArgument, "{failure}");
    });
}

/// The way of kernels without uprobe_multi links: the program is loaded without that attach type, and the helper opens the
/// event.
#[test]
fn behind_a_perf_event_of_the_helper_it_counts_too() {
    isolated(|bpffs| {
        let mut loaded = load(bpf::COUNTER, &[("tcx_ingress_count", ProgramKind::Tcx)]);
        let mut plan = kernel_support::plan(bpf::COUNTER, &[("uprobe_count", ProgramKind::Uprobe)]);
        // As a kprobe program it gets no attach type of uprobe_multi.
        plan.programs[0].kind = ProgramKind::Kprobe;
        let maps: Vec<_> = loaded.maps.iter().map(AsFd::as_fd).collect();
        let without_types = ipc::plan::ProgramPlan {
            func_info: None,
            line_info: None,
            ..plan.programs[0].clone()
        };
        loaded.programs[0] = program::load(&without_types, &plan.license, None, &maps).unwrap();
        drop(maps);

        let file = own_binary();
        let job = HelperJob::OpenUprobe {
            file_offset: file_offset(by_helper),
            retprobe: false,
            pid: None,
        };
        let descriptor = file.as_fd().try_clone_to_owned().unwrap();
        let done = helper::perform(HelperKind::PerfEvent, &job, &[descriptor]).unwrap();
        let mut record = loaded.record(0);
        record.kind = ProgramKind::Uprobe;
        let spec = uprobe(None);
        let request = AttachRequest {
            program: loaded.programs[0].as_fd(),
            record: &record,
            spec: &spec,
            target: Some(Target {
                file: file.as_fd(),
                places: &[ProbePlace::at(file_offset(by_helper))],
            }),
            network: None,
            links: &[],
        };
        assert!(matches!(
            kinds::prepare(&request).unwrap(),
            Prepared::Ready(Hook::File)
                | Prepared::NeedsHelper {
                    job: HelperJob::OpenUprobe { .. },
                    ..
                }
        ));
        let attached = kinds::attach(&request, Hook::PerfEvent(None), Some(done)).unwrap();
        let path = bpffs.join("links/1");
        pin::pin(attached.link.as_fd(), &path).unwrap();
        drop(attached);
        call(by_helper, 8);
        assert_eq!(loaded.count("uprobe_count"), 8);
        kinds::detach(&path).unwrap();
        call(by_helper, 8);
        assert_eq!(
            loaded.count("uprobe_count"),
            8,
            "it counted after detach had returned"
        );
    });
}
