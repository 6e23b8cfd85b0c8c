//! Maps of maps: made, pinned, filled by an application, used by the program, shared if they hold maps of the same form.

use crate::host::{now, with_host};
use crate::kernel_support::{send, veth};
use ipc::messages::attach::{AttachSpec, Direction};
use ipc::messages::failure::FailureCode;
use ipc::messages::program::ProgramKind;
use loader_worker::kernel::{map, pin};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::{Duration, Instant};

const ARRAY_OF_MAPS: u32 = 12;

#[test]
fn a_map_of_maps_is_used_and_shared() {
    with_host(|host| {
        veth();
        let mut engine = host.open();
        let plan = host.plan(bpf::MAPS, &[("uses_all", ProgramKind::Tc)]);
        let outer = plan
            .maps
            .iter()
            .position(|map| map.map_type == ARRAY_OF_MAPS)
            .unwrap();
        let template = plan.maps[outer].inner.unwrap() as usize;
        let owner = host.load(&mut engine, &plan).unwrap().remove(0);
        let id = owner.record.program_id;
        let path = Path::new(&owner.record.maps_dir).join(&plan.maps[outer].name);
        let template_pin = Path::new(&owner.record.maps_dir).join(&plan.maps[template].name);
        assert!(!template_pin.exists(), "the template is nobody's map");

        // As an application does: a map of the right form goes into the first slot.
        let tables = pin::get(&path).unwrap();
        let inner = map::create(&plan.maps[template], None, None, "inner").unwrap();
        let descriptor = inner.as_raw_fd().to_ne_bytes();
        map::update(tables.as_fd(), &[0; 4], &descriptor).unwrap();
        let spec = AttachSpec::Tc {
            interface: "far".into(),
            direction: Direction::Ingress,
            priority: 50,
            proceed_on: vec![],
            strategy: None,
        };
        host.attach(&mut engine, id, spec).unwrap();
        send(3);
        let count = || {
            let value = map::lookup(inner.as_fd(), &[0; 4]).unwrap();
            u64::from_ne_bytes(value.try_into().unwrap())
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while count() < 3 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(count(), 3);

        // Another program takes it for its own, unless it expects other maps within.
        let as_user = |options: &mut ipc::messages::program::LoadOptions| {
            options.map_owner = Some(id);
        };
        let user = host.load_with(&mut engine, &plan, as_user).unwrap();
        let ids = |program| {
            let maps = engine.program(program).unwrap().maps;
            let found = maps.iter().find(|map| Path::new(&map.pin_path) == path);
            found.unwrap().id
        };
        let user = user[0].record.program_id;
        assert_eq!(ids(id), ids(user));
        let mut other = plan.clone();
        let value = other.maps[outer].value_type.as_mut().unwrap();
        value.digest = [0; 32];
        value.text = "map of type 2 with 8 entries, u32 to u64".into();
        let failure = host.load_with(&mut engine, &other, as_user).unwrap_err();
        assert_eq!(failure.code, FailureCode::FailedPrecondition);
        assert!(
            failure
                .cause
                .contains("value type is map of type 2 with 2 entries, u32 to u64"),
            "{failure}"
        );
        drop((tables, inner));
        now(engine.unload(id)).unwrap();
        now(engine.unload(user)).unwrap();
        host.assert_clean(&engine);
    });
}
