//! What is told of the hooks of an interface, whoever is there, and however bpfman calls its programs.

use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::{kernel, require};
use serde_json::Value;

/// Programs on the tcx hook of arriving packets, in the order of the kernel, and why each is where it is.
fn on_tcx(instance: &Instance) -> Vec<(u64, String, String)> {
    let shown = instance
        .ctl(&["chain", "show", INTERFACE, "-o", "json"])
        .json();
    let hooks = shown["hooks"].as_array().expect("hooks");
    let hook = hooks
        .iter()
        .find(|hook| hook["hook"] == "tcx-ingress")
        .expect("the hook");
    let programs = hook["programs"].as_array().expect("programs");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    programs
        .iter()
        .map(|program| {
            (
                program["program_id"].as_u64().expect("an id"),
                text(&program["function_name"]),
                text(&program["reason"]),
            )
        })
        .collect()
}

fn attach_tcx(instance: &Instance, id: u32, priority: &str) -> u64 {
    let id = id.to_string();
    instance
        .attach(&["tcx", &id, INTERFACE, "ingress", "-p", priority])
        .0
}

/// Somebody else is another bpfman here.
#[test]
fn programs_of_others_on_tcx_are_shown_and_keep_their_place() {
    require!(kernel::tcx());
    let instance = Instance::start();
    let (folder, _) = Instance::fresh_place();
    let (_, netns) = instance.place();
    let other = Instance::start_in(folder, netns, &[]);
    let objects = Objects::new();
    let object = objects.object("counter");
    let load = |instance: &Instance| instance.load(&object, "tcx:tcx_ingress_count", &[])[0];
    let (ten, five, twenty, again) = (
        load(&instance),
        load(&instance),
        load(&instance),
        load(&instance),
    );
    let theirs = Counter::load(&other, "tcx:tcx_ingress_count", slot::TCX_INGRESS);
    let foreign = theirs.program;

    let anchor = attach_tcx(&instance, ten, "10");
    attach_tcx(&other, foreign, "10");
    let lowest = attach_tcx(&instance, five, "5");
    let highest = attach_tcx(&instance, twenty, "20");
    attach_tcx(&instance, again, "20");
    let shown = on_tcx(&instance);
    let ids: Vec<u64> = shown.iter().map(|(id, ..)| *id).collect();
    assert_eq!(ids, [foreign, five, ten, twenty, again].map(u64::from));
    let names: Vec<&str> = shown.iter().map(|(_, name, _)| name.as_str()).collect();
    // Of others it is known what the kernel keeps.
    assert_eq!(names[0], "tcx_ingress_cou");
    assert!(names[1..].iter().all(|name| *name == "tcx_ingress_count"));
    let reasons: Vec<&str> = shown.iter().map(|(.., reason)| reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "not bpfman's; it keeps the place that its owner gave it",
            "first of bpfman's: none has a priority below 5",
            &format!("behind link {lowest}: priority 10 is greater than 5"),
            &format!("behind link {anchor}: priority 20 is greater than 10"),
            &format!("behind link {highest}: same priority, and attached later"),
        ]
    );
    let explained = instance.ctl(&["chain", "explain", INTERFACE]).ok();
    assert!(reasons.iter().all(|reason| explained.contains(reason)));

    instance.ctl(&["link", "detach", &anchor.to_string()]).ok();
    instance.ctl(&["program", "unload", &five.to_string()]).ok();
    let ids: Vec<u64> = on_tcx(&instance).iter().map(|(id, ..)| *id).collect();
    assert_eq!(ids, [foreign, twenty, again].map(u64::from));
    let counted = theirs.value();
    instance.netns().send_packets(3);
    assert!(theirs.value() >= counted + 3, "it runs as before");
    for instance in [&instance, &other] {
        instance.assert_no_drift();
    }
}

/// A link whose pin somebody removed is gone, its record is not: where its program was is no place any more.
#[test]
fn a_record_that_outlived_its_link_orders_nothing_on_tcx() {
    require!(kernel::tcx());
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.object("counter");
    let load = || instance.load(&object, "tcx:tcx_ingress_count", &[])[0];
    let (first, second) = (load(), load());
    let gone = attach_tcx(&instance, first, "20");
    let told = instance.ctl(&["link", "get", &gone.to_string(), "-o", "json"]);
    let pin = told.json()["record"]["pin_path"].clone();
    std::fs::remove_file(pin.as_str().expect("a path")).expect("it is there");

    let again = attach_tcx(&instance, first, "9");
    attach_tcx(&instance, second, "15");
    let order = || {
        let shown = on_tcx(&instance);
        let reasons: Vec<String> = shown.iter().map(|(.., reason)| reason.clone()).collect();
        assert_eq!(
            reasons,
            [
                "first of bpfman's: none has a priority below 9".to_owned(),
                format!("behind link {again}: priority 15 is greater than 9"),
            ]
        );
        shown.iter().map(|(id, ..)| *id).collect::<Vec<u64>>()
    };
    assert_eq!(order(), [first, second].map(u64::from));
    instance.ctl(&["link", "detach", &gone.to_string()]).ok();
    assert_eq!(order(), [first, second].map(u64::from));
    instance.assert_no_drift();
}

/// The keys of everything below, values left out. Counters are where somebody counts.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| *key != "counters")
            .map(|(key, value)| (key.clone(), shape(value)))
            .collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        _ => Value::Null,
    }
}

/// The kernel tells a link of its own of a member only where there is one.
fn keys(value: &Value) -> Value {
    let fields = value.as_object().expect("an object");
    fields.keys().cloned().collect()
}

#[test]
fn a_chain_is_told_alike_however_it_is_called() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let object = Objects::new();
    let object = object.object("counter");
    for (hook, load, direction) in [
        ("xdp", "xdp:xdp_count", None),
        ("tc-ingress", "tc:tc_count", Some("ingress")),
    ] {
        told_alike(
            &instance,
            hook,
            instance.load(&object, load, &[])[0],
            direction,
        );
        before.assert_unchanged(&instance, hook);
    }
}

/// From one program alone over all ways of calling a chain, and back, on one link or filter.
fn told_alike(instance: &Instance, hook: &str, id: u32, direction: Option<&str>) {
    let kind = if hook == "xdp" { "xdp" } else { "tc" };
    let id = id.to_string();
    let attach = |priority: &str, more: &[&str]| {
        let mut arguments = vec![kind, &id, INTERFACE];
        arguments.extend(direction);
        arguments.extend(["-p", priority]);
        arguments.extend(more);
        instance.attach(&arguments).0
    };
    let convert = |strategy: &str| {
        instance.ctl(&["chain", "convert", hook, INTERFACE, strategy, "-o", "json"])
    };
    let get = |link: u64| {
        instance
            .ctl(&["link", "get", &link.to_string(), "-o", "json"])
            .json()
    };
    // What is on the hook stays, whatever it calls.
    let on_hook = |chain: &Value| {
        let mut runtime = chain["runtime"].clone();
        let removed = runtime
            .as_object_mut()
            .and_then(|all| all.remove("program_id"));
        assert!(removed.is_some(), "{chain}");
        runtime
    };

    let first = attach("10", &["--strategy", "direct", "-m", "team=a"]);
    let record = get(first)["record"].clone();
    let told = [shape(&record), keys(&get(first)["status"])];
    let alone = convert("direct").json();
    assert_eq!(alone["strategy"], "direct");
    let place = on_hook(&alone);
    let mut refused = vec!["link", "attach", kind, &id, INTERFACE];
    refused.extend(direction);
    refused.extend(["-p", "5"]);
    let error = instance.ctl(&refused).refused();
    assert!(
        error.contains("one program alone on the hook, and 2"),
        "{error}"
    );

    let promoted = convert("auto").json();
    assert_ne!(promoted["strategy"], "direct");
    assert_eq!(shape(&promoted), shape(&alone), "a chain of one");
    let second = attach("5", &["-m", "team=b"]);
    let mut chain = Value::Null;
    for strategy in ["fused", "libxdp", "auto"] {
        let run = convert(strategy);
        if run.code != 0 {
            let error = run.refused();
            assert!(
                strategy == "libxdp" && error.contains("freplace"),
                "{error}"
            );
            continue;
        }
        let found = run.json();
        assert_eq!(on_hook(&found), place, "{strategy}");
        if chain.is_null() {
            chain = found.clone();
        }
        assert_eq!(shape(&found), shape(&chain), "{strategy}");
        for (link, team) in [(first, "a"), (second, "b")] {
            let link = get(link);
            let found = [shape(&link["record"]), keys(&link["status"])];
            assert_eq!(found, told, "{strategy}");
            assert_eq!(link["record"]["metadata"]["team"], team, "{strategy}");
        }
    }
    let error = convert("direct").refused();
    assert!(
        error.contains("one program alone on the hook, and 2"),
        "{error}"
    );

    // A rebuild after a detach keeps what is the survivor's own.
    instance.ctl(&["link", "detach", &second.to_string()]).ok();
    let demoted = convert("direct").json();
    assert_eq!(demoted["strategy"], "direct");
    assert_eq!(on_hook(&demoted), place);
    let survivor = get(first)["record"].clone();
    for key in ["id", "metadata", "created_at", "program_id"] {
        assert_eq!(survivor[key], record[key], "{key}");
    }
    instance.ctl(&["program", "unload", &id]).ok();
}

#[test]
fn an_interface_with_another_name_has_the_chain_that_it_had() {
    let instance = Instance::start();
    let id = instance.load(&Objects::new().object("counter"), "xdp:xdp_count", &[])[0];
    let id = id.to_string();
    let (link, _) = instance.attach(&["xdp", &id, INTERFACE, "-p", "10"]);
    let netns = instance.netns();
    netns.ip(&format!("link set {INTERFACE} down"));
    netns.ip(&format!("link set {INTERFACE} name renamed0"));
    netns.ip("link set renamed0 up");
    let convert = |interface: &str| {
        let arguments = ["chain", "convert", "xdp", interface, "fused", "-o", "json"];
        instance.ctl(&arguments)
    };
    assert_eq!(convert("renamed0").json()["members"][0]["link_id"], link);
    let refused = convert(INTERFACE).refused();
    assert!(refused.contains("has no chain of type xdp"), "{refused}");
    // The old name may be somebody else's by now.
    netns.ip(&format!("link add {INTERFACE} type veth peer name veth1"));
    convert(INTERFACE).refused();

    instance.attach(&["xdp", &id, "renamed0", "-p", "20"]);
    let (_, apart) = instance.attach(&["xdp", &id, INTERFACE, "-p", "20"]);
    assert_eq!(apart["record"]["details"]["position"], 0);
    let listed = netns.inside(|| instance.ctl(&["link", "list"]).ok());
    let both = format!("renamed0 (was {INTERFACE}) pos-0");
    for place in [
        both.as_str(),
        "renamed0 pos-1",
        &format!(" {INTERFACE} pos-0"),
    ] {
        assert!(listed.contains(place), "{place}: {listed}");
    }
    let told = |output: &str| {
        netns.inside(|| instance.ctl(&["link", "get", &link.to_string(), "-o", output]))
    };
    assert!(
        told("text")
            .ok()
            .contains(&format!("renamed0 (was {INTERFACE})"))
    );
    assert_eq!(
        told("json").json()["record"]["details"]["interface"],
        INTERFACE
    );
    assert_eq!(convert("renamed0").json()["members"][1]["priority"], 20);
    let alone = convert(INTERFACE).json();
    assert_eq!(
        alone["members"].as_array().map(Vec::len),
        Some(1),
        "{alone}"
    );
    instance.assert_no_drift();
    instance.ctl(&["program", "unload", &id]).ok();
}
