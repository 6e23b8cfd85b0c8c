//! Functions of programs in Go, whose names are no identifiers of C.

use bpfman_tests::fixture::{Counter, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::uprobe_target::Target;
use bpfman_tests::{go_target, require};
use object::{Object, ObjectSymbol};

const METHOD: &str = "main.(*account).deposit";
/// A method of a package whose path has a slash: every answer is written by it.
const WRITE: &str = "internal/poll.(*FD).Write";

/// The instance of the generic function, whose name depends on the compiler.
fn generic(program: &std::path::Path) -> String {
    let content = std::fs::read(program).expect("the program");
    let file = object::File::parse(&*content).expect("an ELF file");
    let mut names = file.symbols().filter_map(|symbol| symbol.name().ok());
    names
        .find(|name| name.starts_with("main.twice["))
        .expect("the instance for integers")
        .to_owned()
}

#[test]
fn uprobes_are_on_functions_of_go_also_where_symbols_are_stripped() {
    require!(go_target::source());
    let source = go_target::source().expect("a source");
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let folders = [(), ()].map(|()| tempfile::tempdir().expect("a folder"));
    let whole = go_target::build(&source, folders[0].path(), "");
    let stripped = go_target::build(&source, folders[1].path(), "-s -w");
    let content = std::fs::read(&stripped).expect("the program");
    let file = object::File::parse(&*content).expect("an ELF file");
    assert_eq!(file.symbols().count(), 0, "not stripped");
    let generic = generic(&whole);
    let counter = Counter::load(&instance, "uprobe:uprobe_count", slot::UPROBE);
    let id = counter.id();
    // What Go's runtime keeps has all instances of a generic function under one name.
    for (program, functions) in [
        (&whole, &[METHOD, WRITE, &generic][..]),
        (&stripped, &[METHOD, WRITE]),
    ] {
        let mut target = Target::run(program, program, &[]);
        let path = target.path();
        for &function in functions {
            let start = counter.value();
            let (link, attached) = instance.attach(&["uprobe", &id, &path, "--fn-name", function]);
            assert_eq!(attached["record"]["details"]["fn_name"], function);
            target.call(5);
            assert_eq!(counter.value(), start + 5, "{function} of {path}");
            instance.ctl(&["link", "detach", &link.to_string()]).ok();
            target.call(2);
            assert_eq!(counter.value(), start + 5, "{function} after the detach");
        }
        let refused = |arguments: &[&str]| {
            let command = [&["link", "attach", "uprobe", &id, &path], arguments].concat();
            instance.ctl(&command).refused()
        };
        let unknown = refused(&["--fn-name", "main.(*account).deposits"]);
        assert!(
            unknown.contains("not found") && unknown.contains(METHOD),
            "{unknown}"
        );
        let behind = refused(&["--fn-name", METHOD, "--offset", "0x1000"]);
        assert!(
            behind.contains("bytes long: offset 0x1000 is behind its end"),
            "{behind}"
        );
    }
    instance.ctl(&["program", "unload", &id]).ok();
    before.assert_unchanged(&instance, "unload");
}
