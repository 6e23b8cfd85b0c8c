//! The ways to name a place in a binary: by offset in the file, and by function and offset.

use bpfman_tests::fixture::{Counter, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::uprobe_target::Target;

const FUNCTION: &str = "bpfman_probe_inside";
/// Where in it the second instruction begins.
const SECOND: u64 = 4;

/// Attaches there, sees each call counted, and none after detach.
#[track_caller]
fn assert_counts(place: &[&str], function: &str, offset: u64) {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let mut target = Target::start();
    let counter = Counter::load(&instance, "uprobe:uprobe_count", slot::UPROBE);
    let (id, path) = (counter.id(), target.path());
    let arguments = [&["uprobe", &id, &path], place].concat();
    let (link, attached) = instance.attach(&arguments);
    let details = &attached["record"]["details"];
    assert_eq!(details["fn_name"], function, "{details}");
    assert_eq!(details["offset"], offset, "{details}");
    target.call(7);
    assert_eq!(counter.value(), 7, "{place:?}");
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    target.call(3);
    assert_eq!(counter.value(), 7, "{place:?} counts after detach returned");
    instance.ctl(&["program", "unload", &id]).ok();
    before.assert_unchanged(&instance, "unload");
}

#[test]
fn an_offset_alone_is_one_in_the_file() {
    let offset = Target::start().file_offset(FUNCTION) + SECOND;
    assert_counts(&["--offset", &offset.to_string()], "", offset);
}

#[test]
fn an_offset_beside_a_function_begins_there() {
    let place = ["--fn-name", FUNCTION, "--offset", &SECOND.to_string()];
    assert_counts(&place, FUNCTION, SECOND);
}

#[test]
fn an_offset_of_nothing_is_the_function() {
    let place = ["--fn-name", FUNCTION, "--offset", "0"];
    assert_counts(&place, FUNCTION, 0);
}

#[test]
fn an_offset_outside_of_the_file_is_refused() {
    let instance = Instance::start();
    let target = Target::start();
    let counter = Counter::load(&instance, "uprobe:uprobe_count", slot::UPROBE);
    let before = Traces::of(&instance);
    let (id, path) = (counter.id(), target.path());
    let offset = "0x10000000000";
    let error = instance
        .ctl(&["link", "attach", "uprobe", &id, &path, "--offset", offset])
        .refused();
    assert!(error.contains(offset), "{error}");
    before.assert_unchanged(&instance, "a uprobe behind the end of its file");
}

#[test]
fn an_offset_behind_the_end_of_the_function_is_refused() {
    let instance = Instance::start();
    let target = Target::start();
    let counter = Counter::load(&instance, "uprobe:uprobe_count", slot::UPROBE);
    let before = Traces::of(&instance);
    let (id, path) = (counter.id(), target.path());
    let size = target.size(FUNCTION).to_string();
    let attach = ["link", "attach", "uprobe", &id, &path, "--fn-name"];
    let place = [FUNCTION, "--offset", &size];
    let error = instance.ctl(&[&attach[..], &place].concat()).refused();
    assert!(
        error.contains("is behind its end") && error.contains("give an offset below"),
        "{error}"
    );
    before.assert_unchanged(&instance, "a uprobe behind the end of its function");
}

/// The return address is on top of the stack only there; elsewhere the kernel would replace something else.
#[test]
fn a_return_probe_inside_of_a_function_is_refused() {
    let instance = Instance::start();
    let target = Target::start();
    let counter = Counter::load(&instance, "uretprobe:uretprobe_count", slot::URETPROBE);
    let before = Traces::of(&instance);
    let (id, path) = (counter.id(), target.path());
    let attach = ["link", "attach", "uprobe", &id, &path, "--fn-name"];
    let place = [FUNCTION, "--offset", "1"];
    let error = instance.ctl(&[&attach[..], &place].concat()).refused();
    let words = format!("belongs at the beginning of {FUNCTION}");
    assert!(
        error.contains(&words) && error.contains("load the program as uprobe"),
        "{error}"
    );
    before.assert_unchanged(&instance, "a uretprobe inside of a function");
}
