//! What users are told when it does not work.

use crate::samples;
use crate::service::{Answer, Service};
use ipc::blocking::Link;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::ProgramKind;
use ipc::role::Role;
use rustix::fs::Mode;
use rustix::thread::set_thread_uid;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

fn failed(code: FailureCode, stage: Stage, cause: &str) -> ClientReply {
    ClientReply::Failed(Failure::new(code, stage, cause))
}

fn unavailable() -> ClientReply {
    failed(
        FailureCode::Unavailable,
        Stage::Connect,
        "the loader is being restarted",
    )
}

fn programs() -> ClientReply {
    ClientReply::Programs(vec![samples::program_entry()])
}

#[test]
fn a_service_that_does_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let line = format!("--runtime-dir {} program list", directory.path().display());
    let socket = directory.path().join(bpfmanctl::SOCKET_NAME);
    let told = |cause: &str| {
        format!(
            "bpfman: error: connect: the bpfman service is not running: {cause} at {}; start it with `systemctl start \
             bpfman` or `bpfmand`, or name its directory with --runtime-dir\n",
            socket.display()
        )
    };
    let began = Instant::now();
    let missing = crate::run(&line);
    assert_eq!(
        (missing.code, missing.errors),
        (1, told("there is no socket"))
    );

    drop(UnixListener::bind(&socket).unwrap());
    let stale = crate::run(&line);
    assert_eq!(
        (stale.code, stale.errors),
        (1, told("nobody listens on the socket"))
    );
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "nothing is waited for"
    );
}

#[test]
fn a_socket_of_others() {
    let service = Service::start(|_, _, _| programs());
    let socket = service.directory().join(bpfmanctl::SOCKET_NAME);
    rustix::fs::chmod(service.directory(), Mode::from_raw_mode(0o755)).unwrap();
    rustix::fs::chmod(&socket, Mode::empty()).unwrap();
    // Root may do everything: this thread, which ends with the test, becomes somebody else.
    if rustix::process::geteuid().is_root() {
        set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
    }
    let outcome = service.run("program list");
    assert_eq!(outcome.code, 1);
    let remedy = if rustix::process::getegid().is_root() {
        "create the group bpfman and restart the service"
    } else {
        "become a member with `usermod -aG"
    };
    assert!(
        outcome.errors.contains("permission denied on"),
        "{outcome:?}"
    );
    assert!(outcome.errors.contains(remedy), "{outcome:?}");
    assert!(service.requests().is_empty());
}

#[test]
fn reading_is_tried_again_while_a_worker_restarts() {
    let service = Service::start(|number, _, _| match number {
        0 => Answer::Reply(unavailable()),
        // The connection breaks and is made anew.
        1 => Answer::HangUp,
        2 => Answer::Reply(unavailable()),
        _ => Answer::Reply(programs()),
    });
    let outcome = service.run("program list -q");
    assert_eq!(
        (outcome.code, outcome.output.as_str()),
        (0, "512\n"),
        "{outcome:?}"
    );
    assert_eq!(service.requests().len(), 4);
}

#[test]
fn reading_is_given_up_in_time() {
    let service = Service::start(|_, _, _| unavailable());
    let began = Instant::now();
    let outcome = service.run("link list");
    let elapsed = began.elapsed();
    assert_eq!(outcome.code, 1);
    assert_eq!(
        outcome.errors,
        "bpfman: error: connect: the loader is being restarted\n"
    );
    assert!(service.requests().len() > 3, "{}", service.requests().len());
    assert!(elapsed < Duration::from_millis(2200), "{elapsed:?}");
}

#[test]
fn changes_are_never_repeated() {
    let service = Service::start(|number, _, _| match number {
        0 => Answer::HangUp,
        _ => Answer::Reply(unavailable()),
    });
    let lost = service.run("link detach 1");
    assert_eq!(lost.code, 1);
    assert!(
        lost.errors
            .contains("closed the connection before it answered"),
        "{lost:?}"
    );
    let refused = service.run("program unload 1");
    assert_eq!(refused.code, 1);
    assert_eq!(service.requests().len(), 2);
}

#[test]
fn batches_try_everything() {
    let service = Service::start(|number, _, _| match number % 3 {
        0 => failed(
            FailureCode::NotFound,
            Stage::Detach,
            "link 1 does not exist",
        ),
        1 => ClientReply::Done,
        _ => failed(
            FailureCode::PermissionDenied,
            Stage::Policy,
            "user 1000 may not",
        ),
    });
    let outcome = service.run("link detach 1 2 3");
    assert_eq!((outcome.code, outcome.output.as_str()), (1, ""));
    assert_eq!(
        outcome.errors,
        "link 1: detach: link 1 does not exist\nlink 3: policy: user 1000 may not\n\
         bpfman: error: 2 of 3 link(s) failed to detach\n"
    );
    let outcome = service.run("link detach --ignore-missing 1 2");
    assert_eq!((outcome.code, outcome.errors.as_str()), (0, ""));
    assert_eq!(service.requests().len(), 5);
}

#[test]
fn the_verifier_log_is_shown() {
    let service = Service::start(|_, _, _| {
        let failure = Failure::new(
            FailureCode::Rejected,
            Stage::Load,
            "program \"p\" was rejected",
        );
        ClientReply::Failed(failure.verifier_log("0: r0 = 0\n1: exit\nbad".to_owned()))
    });
    let object = service.directory().join("x.o");
    std::fs::write(&object, b"x").unwrap();
    let outcome = service.run(&format!(
        "program load {} --programs xdp:p",
        object.display()
    ));
    assert_eq!(outcome.code, 1);
    assert_eq!(
        outcome.errors,
        "bpfman: error: load: program \"p\" was rejected\nverifier log:\n0: r0 = 0\n1: exit\nbad\n"
    );
}

#[test]
fn files_that_cannot_be_loaded() {
    let service = Service::start(|_, _, _| ClientReply::Done);
    let load = |path: &str| service.run(&format!("program load file {path} --programs xdp:p"));
    for (path, cause) in [
        ("/nowhere/x.o", "does not exist; check the path"),
        ("/tmp", "is a directory; name a file in it"),
    ] {
        let outcome = load(path);
        assert_eq!(outcome.code, 80);
        assert_eq!(
            outcome.errors,
            format!(
                "bpfman: error: object: object file \"{path}\" {cause}\n\n\
                 Usage: bpfman program load file [OPTIONS] --programs <SPEC> <PATH>\n\n\
                 For more information, try '--help'.\n"
            )
        );
    }
    let device = load("/dev/null");
    assert_eq!(device.code, 1);
    assert_eq!(
        device.errors,
        "bpfman: error: object: object file \"/dev/null\" is not a regular file; name a regular file\n"
    );
    assert!(service.requests().is_empty());
}

#[test]
fn uprobe_targets_that_do_not_exist() {
    let mut probe = samples::program();
    probe.record.kind = ProgramKind::Uprobe;
    let service = Service::start(move |number, _, _| match number {
        0 => ClientReply::Program(Box::new(probe.clone())),
        // A program that does not fit, one that is not there, and an answer that is out of place.
        1 => ClientReply::Program(Box::new(samples::program())),
        2 => failed(FailureCode::NotFound, Stage::Query, "record not found"),
        _ => ClientReply::Done,
    });
    let attach = || service.run("link attach uprobe 5 libnowhere -f f");
    for cause in [
        "target \"libnowhere\"",
        "program 5 is a xdp program; the uprobe attach accepts uprobe or uretprobe",
        "attach: program 5 does not exist",
        "target \"libnowhere\"",
    ] {
        let outcome = attach();
        assert_eq!(outcome.code, 1);
        assert!(outcome.errors.contains(cause), "{cause}: {outcome:?}");
    }
    let asked = service.requests();
    let outcome = service.run("link attach uprobe 5 libc");
    assert_eq!(outcome.code, 80);
    assert!(outcome.errors.contains("needs --fn-name"), "{outcome:?}");
    assert_eq!(service.requests(), asked);
    let get = ClientRequest::GetProgram { program_id: 5 };
    assert_eq!(asked, [get.clone(), get.clone(), get.clone(), get]);
}

#[test]
fn a_service_that_does_not_speak_the_protocol() {
    let mut open = Vec::new();
    let babble = Service::start_raw(move |mut stream, _| {
        stream.write_all(&[0x5a; 4096]).unwrap();
        open.push(stream);
    });
    let outcome = babble.run("program list");
    assert_eq!(outcome.code, 1);
    assert!(outcome.errors.contains("protocol fault"), "{outcome:?}");

    let misplaced = Service::start(|_, _, _| Answer::Misplaced(programs()));
    let outcome = misplaced.run("program list");
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.errors.contains("answered Programs out of turn"),
        "{outcome:?}"
    );

    let other = Service::start(|_, _, _| ClientReply::Done);
    let outcome = other.run("program list");
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.errors.contains("answered Done out of turn"),
        "{outcome:?}"
    );
}

#[test]
fn a_service_that_takes_no_connection() {
    let service = Service::start_raw(|stream, _| drop(stream));
    let began = Instant::now();
    let outcome = service.run("program list");
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.errors.contains("takes no connection at the moment"),
        "{outcome:?}"
    );
    assert!(
        began.elapsed() < Duration::from_millis(2200),
        "{:?}",
        began.elapsed()
    );
}

/// The refusal is sent before anything was asked; it answers no request.
#[test]
fn a_service_that_has_no_room() {
    let service = Service::start_raw(|stream, _| {
        let (mut link, _) = Link::<ClientRequest, ClientReply>::establish(
            stream,
            Role::Api,
            1,
            Role::Client,
            Duration::from_secs(5),
        )
        .unwrap();
        let full = failed(
            FailureCode::Unavailable,
            Stage::Connect,
            "too many clients are connected",
        );
        link.send(0, &full, &[]).unwrap();
    });
    for line in ["program list", "program unload 5"] {
        let outcome = service.run(line);
        assert_eq!(outcome.code, 1);
        let told = outcome
            .errors
            .contains("connect: too many clients are connected");
        assert!(told, "{line}: {outcome:?}");
    }
}

#[test]
fn a_client_goes_on_after_a_failure() {
    let service = Service::start(|number, _, _| match number {
        0 => failed(FailureCode::NotFound, Stage::Query, "record not found"),
        _ => programs(),
    });
    let mut client = bpfmanctl::connect(service.directory()).unwrap();
    let error = client.program(1).unwrap_err();
    assert_eq!(
        error.failure().map(|failure| failure.code),
        Some(FailureCode::NotFound)
    );
    assert_eq!(client.programs().unwrap().len(), 1);
    assert!(bpfmanctl::connect(Path::new("/nowhere")).is_err());
}
