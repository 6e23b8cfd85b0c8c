//! Global variables that are set by type.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod plans;

use image_worker::compile::{Request, RunningKernel, compile};
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::program::{GlobalType, GlobalValue, ProgramKind, TypedGlobal};
use plans::{map, plan, wanted};

/// The read-only data after setting one variable of the fixture by type, from the variable's first byte on.
fn typed(name: &str, given_as: GlobalType, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let set = |bytes: &[u8], types: &[TypedGlobal]| {
        let request = Request {
            programs: &[wanted("reads_globals", ProgramKind::Xdp)],
            globals: &[GlobalValue {
                name: name.to_owned(),
                bytes: bytes.to_vec(),
            }],
            types,
        };
        let plan = compile(bpf::GLOBALS, &request, &mut RunningKernel::default())?;
        let contents = map(&plan, ".rodata").initial.clone();
        Ok::<_, Failure>(contents.expect("contents"))
    };
    let type_of = TypedGlobal {
        name: name.to_owned(),
        given_as,
    };
    let before = plan(bpf::GLOBALS, &[("reads_globals", ProgramKind::Xdp)]);
    let before = map(&before, ".rodata").initial.clone().expect("contents");
    let after: Vec<u8> = set(bytes, std::slice::from_ref(&type_of))?;
    assert_eq!(before.len(), after.len());
    let first = before
        .iter()
        .zip(&after)
        .position(|(before, after)| before != after);
    Ok(after[first.expect("a change")..].to_vec())
}

#[test]
fn globals_are_set_by_type() {
    for (name, given_as, bytes) in [
        ("small", GlobalType::U8, &[9][..]),
        ("https", GlobalType::U16, &443_u16.to_le_bytes()),
        ("plain", GlobalType::U32, &9_u32.to_le_bytes()),
        ("large", GlobalType::U64, &9_u64.to_le_bytes()),
        ("signed_small", GlobalType::I8, &(-9_i8).to_le_bytes()),
        ("signed_short", GlobalType::I16, &(-9_i16).to_le_bytes()),
        ("signed_plain", GlobalType::I32, &(-9_i32).to_le_bytes()),
        ("signed_large", GlobalType::I64, &(-9_i64).to_le_bytes()),
        ("flag", GlobalType::Bool, &[0]),
        ("letter", GlobalType::Char, b"z"),
        ("verdict", GlobalType::U32, &0_u32.to_le_bytes()),
    ] {
        let after = typed(name, given_as, bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&after[..bytes.len()], bytes, "{name}");
    }
    let after = typed("text", GlobalType::String, b"new").expect("text");
    assert_eq!(
        &after[..8],
        b"new\0\0\0\0\0",
        "what was there before is gone"
    );
}

#[test]
fn values_of_other_types_are_refused() {
    for (name, given_as, bytes, cause) in [
        (
            "plain",
            GlobalType::I32,
            &[0; 4][..],
            "it is of type unsigned int (u32), the value is given as i32",
        ),
        (
            "plain",
            GlobalType::U64,
            &[0; 8],
            "it is of type unsigned int (u32), the value is given as u64",
        ),
        (
            "signed_short",
            GlobalType::U16,
            &[0; 2],
            "it is of type short (i16), the value is given as u16",
        ),
        (
            "small",
            GlobalType::Bool,
            &[0],
            "it is of type unsigned char (u8), the value is given as bool",
        ),
        (
            "flag",
            GlobalType::U8,
            &[0],
            "it is of type bool, the value is given as u8",
        ),
        (
            "pair",
            GlobalType::U64,
            &[0; 8],
            "it is of type struct pair, the value is given as u64",
        ),
        (
            "large",
            GlobalType::String,
            b"text",
            "the value is given as string",
        ),
        (
            "text",
            GlobalType::U64,
            &[0; 8],
            "it is of type char[8], the value is given as u64",
        ),
        (
            "text",
            GlobalType::String,
            b"too long",
            "it has room for 7 bytes of text, the value has 8",
        ),
    ] {
        let refused = typed(name, given_as, bytes).expect_err(name);
        assert_eq!(refused.code, FailureCode::InvalidArgument);
        assert!(refused.cause.contains(cause), "{name}: {refused}");
        assert!(!refused.remedy.is_empty(), "{name}");
    }
}

#[test]
fn without_type_information_the_size_decides() {
    let request = |given_as, bytes: &[u8]| {
        let request = Request {
            programs: &[wanted("bare_count", ProgramKind::Tcx)],
            globals: &[GlobalValue {
                name: "total".to_owned(),
                bytes: bytes.to_vec(),
            }],
            types: &[TypedGlobal {
                name: "total".to_owned(),
                given_as,
            }],
        };
        compile(bpf::BARE, &request, &mut RunningKernel::default())
    };
    assert!(request(GlobalType::U64, &[0; 8]).is_ok());
    assert!(request(GlobalType::I64, &[0; 8]).is_ok());
    let refused = request(GlobalType::U32, &[0; 4]).expect_err("too short");
    assert!(refused.cause.contains("it has 8 bytes"), "{refused}");
}
