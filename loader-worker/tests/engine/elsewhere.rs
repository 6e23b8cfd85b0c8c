//! Chains on clsact in another network namespace, where each request fails or is killed at each of its acts.

use crate::host::{Host, now, user, with_host};
use crate::kernel_support::{elsewhere, inside, ip};
use crate::switch::{Mode, survive};
use ipc::messages::attach::{AttachSpec, Direction, Link};
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::program::ProgramKind;
use loader_worker::drift::Drift;
use loader_worker::engine::{AttachCommand, Engine, NamespaceFile};
use loader_worker::kernel::clsact;
use loader_worker::kernel::netlink::Socket;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Mutex;

/// Index of the interface there.
const IFINDEX: u32 = 77;

/// A namespace with a name.
struct Place {
    namespace: OwnedFd,
    path: PathBuf,
}

impl Place {
    fn new(host: &Host) -> Self {
        let namespace = elsewhere(|| ip("link add far index 77 type veth peer name near"));
        let path = host.state().with_file_name("elsewhere");
        fs::write(&path, "").unwrap();
        let place = Self { namespace, path };
        place.name();
        place
    }

    fn name(&self) {
        let file = format!("/proc/self/fd/{}", self.namespace.as_raw_fd());
        mount_bind(file, &self.path).unwrap();
    }

    fn unname(&self) {
        unmount(&self.path, UnmountFlags::DETACH).unwrap();
    }

    fn attach(&self, engine: &Engine, program_id: u32, priority: i32) -> Result<Link, Failure> {
        self.attach_for(0, engine, program_id, priority)
    }

    fn attach_for(
        &self,
        uid: u32,
        engine: &Engine,
        program_id: u32,
        priority: i32,
    ) -> Result<Link, Failure> {
        let command = AttachCommand {
            program_id,
            spec: AttachSpec::Tc {
                interface: "far".into(),
                direction: Direction::Ingress,
                priority,
                proceed_on: vec![],
                strategy: None,
            },
            target: None,
            places: vec![],
            namespace: Some(NamespaceFile {
                file: self.namespace.try_clone().unwrap(),
                path: self.path.display().to_string(),
            }),
            metadata: BTreeMap::new(),
        };
        now(engine.attach(&user(uid), &command))
    }

    /// Programs of the filters there.
    fn on_hook(&self) -> Vec<u32> {
        let found = Mutex::new(Vec::new());
        inside(&self.namespace, || {
            let socket = Socket::open().unwrap();
            *found.lock().unwrap() = clsact::filters(&socket, IFINDEX, Direction::Ingress).unwrap();
        });
        let found = found.into_inner().unwrap();
        found
            .iter()
            .filter_map(|filter| filter.program_id)
            .collect()
    }

    /// What is there is what is on record.
    fn assert_agrees(&self, engine: &Engine, after: &str) {
        let recorded: Vec<u32> = engine
            .dispatchers()
            .unwrap()
            .iter()
            .map(|dispatcher| dispatcher.program_id)
            .collect();
        assert_eq!(self.on_hook(), recorded, "{after}");
        let findings = now(engine.doctor()).unwrap().findings;
        assert_eq!(findings, Vec::<String>::new(), "{after}");
    }
}

fn load(host: &Host, engine: &mut Engine) -> [u32; 2] {
    [(); 2].map(|()| {
        let plan = host.plan(bpf::COUNTER, &[("tc_count", ProgramKind::Tc)]);
        host.load(engine, &plan).unwrap()[0].record.program_id
    })
}

/// Does a request again and again, wrong at one point later each time, until it gets through; `put_back` takes back what
/// it did nevertheless. What a process leaves there that was killed, the next one finishes as soon as it has helpers.
fn at_each_point(
    host: &Host,
    place: &Place,
    request: impl Fn(&Engine) -> Result<(), Failure>,
    put_back: impl Fn(&Engine),
) {
    for mode in [Mode::Fail, Mode::Crash] {
        for number in 0.. {
            let engine = host.open();
            host.switch.set(mode(number));
            let outcome = survive(|| request(&engine));
            let point = host.switch.fired();
            host.switch.set(Mode::Off);
            drop(engine);
            let (engine, drift) = host.try_open().unwrap();
            let is_half_gone = matches!((&point, &outcome), (Some(point), Some(Err(_))) if point.starts_with("Removal"));
            assert!(
                is_half_gone || drift.is_empty() || drift.contains(&Drift::Unfinished { count: 1 }),
                "{point:?}: {drift:?}"
            );
            now(engine.finish_leftovers()).unwrap();
            let Some(point) = point else {
                assert!(matches!(outcome, Some(Ok(()))), "{outcome:?}");
                assert!(number > 3, "only {number} points");
                put_back(&engine);
                break;
            };
            // What could not be taken away to the end is taken away by asking again.
            if is_half_gone {
                request(&engine).unwrap();
            }
            place.assert_agrees(&engine, &point);
            put_back(&engine);
            place.assert_agrees(&engine, &point);
        }
    }
}

fn links(engine: &Engine, program: u32) -> Vec<u64> {
    let links = engine.program(program).unwrap().links;
    links.iter().map(|link| link.record.id).collect()
}

#[test]
fn changes_elsewhere_happen_or_not() {
    with_host(|host| {
        let place = Place::new(host);
        let mut engine = host.open();
        let [first, second] = load(host, &mut engine);
        drop(engine);
        let attach = |program, priority| {
            let place = &place;
            move |engine: &Engine| place.attach(engine, program, priority).map(drop)
        };
        let detach = |program| {
            move |engine: &Engine| {
                let mut links = links(engine, program).into_iter();
                links.try_for_each(|link| now(engine.detach(link)))
            }
        };
        let gone = |program| move |engine: &Engine| detach(program)(engine).unwrap();
        let there = |program, priority| {
            move |engine: &Engine| {
                if links(engine, program).is_empty() {
                    attach(program, priority)(engine).unwrap();
                }
            }
        };
        // The first, and the only one.
        at_each_point(host, &place, attach(first, 50), gone(first));
        there(first, 50)(&host.open());
        at_each_point(host, &place, detach(first), there(first, 50));
        // One more, beside another.
        at_each_point(host, &place, attach(second, 10), gone(second));
        there(second, 10)(&host.open());
        at_each_point(host, &place, detach(second), there(second, 10));
        let engine = host.open();
        assert_eq!(place.on_hook().len(), 1);
        for program in [first, second] {
            now(engine.unload(program)).unwrap();
        }
        assert!(place.on_hook().is_empty());
        host.assert_clean(&engine);
        place.unname();
    });
}

/// Nobody goes there at the start, so that nothing is missed there.
#[test]
fn a_start_believes_what_it_cannot_see() {
    with_host(|host| {
        let place = Place::new(host);
        let mut engine = host.open();
        let [first, _] = load(host, &mut engine);
        place.attach(&engine, first, 50).unwrap();
        place.unname();
        drop(engine);
        let engine = host.open();
        let failure = host
            .runtime
            .block_on(engine.detach(links(&engine, first)[0]))
            .unwrap_err();
        assert_eq!(failure.code, FailureCode::FailedPrecondition, "{failure}");
        assert_eq!(place.on_hook().len(), 1);
        place.name();
        drop(engine);
        let engine = host.open();
        inside(&place.namespace, || ip("link del far"));
        drop(engine);
        let (engine, drift) = host.try_open().unwrap();
        assert!(matches!(drift[..], [Drift::HookIdle { .. }]), "{drift:?}");
        // What is gone needs no name.
        place.unname();
        for program in engine.programs().unwrap() {
            now(engine.unload(program.record.program_id)).unwrap();
        }
        host.assert_clean(&engine);
    });
}

/// Who has the open file of a namespace learns nothing of paths that it may not look at.
#[test]
fn a_path_must_be_the_clients_own_to_open() {
    with_host(|host| {
        let mut engine = host.open();
        let place = Place::new(host);
        let [id, _] = load(host, &mut engine);
        let folder = place.path.parent().unwrap();
        let mode = |mode| fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
        mode(0o700);
        let refused = |place: &Place| {
            let failure = place.attach_for(61_999, &engine, id, 50).unwrap_err();
            assert_eq!(failure.code, FailureCode::FailedPrecondition);
            failure.cause.replace(place.path.to_str().unwrap(), "PATH")
        };
        let there = refused(&place);
        assert!(there.contains("uid 61999 may not read"), "{there}");
        let missing = Place {
            namespace: place.namespace.try_clone().unwrap(),
            path: folder.join("missing"),
        };
        assert_eq!(refused(&missing), there);
        mode(0o755);
        assert!(refused(&missing).contains("does not exist"));
        let link = place.attach_for(61_999, &engine, id, 50).unwrap().record.id;

        // Where the path leads later is not told to whoever detaches.
        place.unname();
        fs::remove_file(&place.path).unwrap();
        symlink("/root", &place.path).unwrap();
        let told = now(engine.detach(link)).unwrap_err().cause;
        let expected = format!("is not found at {} any more", place.path.display());
        assert!(told.ends_with(&expected), "{told}");
        fs::remove_file(&place.path).unwrap();
        fs::write(&place.path, "").unwrap();
        place.name();
        now(engine.detach(link)).unwrap();
        place.unname();
    });
}
