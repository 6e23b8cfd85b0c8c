//! The form of policy files: what is refused, and what a rule means.

use super::*;

#[test]
fn a_rule_needs_a_reason() {
    for why in ["", "  "] {
        let rule = format!(r#"{{ "syscall": "read", "why": "{why}" }}"#);
        assert!(matches!(
            policy(&rule, ""),
            Err(PolicyError::NoReason { .. })
        ));
        let refusal = format!(r#"{{ "syscall": "bind", "errno": "EPERM", "why": "{why}" }}"#);
        assert!(matches!(
            policy("", &refusal),
            Err(PolicyError::NoReason { .. })
        ));
    }
    assert!(matches!(
        policy(r#"{ "syscall": "read" }"#, ""),
        Err(PolicyError::Syntax(_))
    ));
}

#[test]
fn unknown_names_are_refused() {
    assert!(matches!(
        compiled(r#"{ "syscall": "reed", "why": "x" }"#, ""),
        Err(PolicyError::UnknownSyscall { .. })
    ));
    assert!(matches!(
        compiled("", r#"{ "syscall": "bind", "errno": "EWHAT", "why": "x" }"#),
        Err(PolicyError::UnknownErrno(_))
    ));
    assert!(matches!(
        Policy::parse(r#"{ "name": "test", "includes": ["nothing"] }"#),
        Err(PolicyError::UnknownBase { .. })
    ));
    for misspelt in [
        r#"{ "syscall": "read", "why": "x", "wen": [] }"#,
        r#"{ "syscall": "read", "why": "x", "only": "arm" }"#,
        r#"{ "syscall": "read", "why": "x", "when": [{ "argument": 0, "width": 16, "operator": "one-of", "values": { "A": 1 } }] }"#,
        r#"{ "syscall": "read", "why": "x", "when": [{ "argument": 0, "width": 32, "operator": "is", "values": { "A": 1 } }] }"#,
        r#"{ "syscall": "read", "why": "x", "when": [{ "argument": 0, "width": 32, "operator": "one-of", "values": { "A": "1" } }] }"#,
    ] {
        assert!(
            matches!(policy(misspelt, ""), Err(PolicyError::Syntax(_))),
            "{misspelt}"
        );
    }
}

#[test]
fn an_older_form_needs_its_architecture() {
    let policy = policy(r#"{ "syscall": "mkdir", "why": "x" }"#, "").unwrap();
    assert!(policy.compile(Architecture::X86_64, Mode::Enforce).is_ok());
    assert!(matches!(
        policy.compile(Architecture::Aarch64, Mode::Enforce),
        Err(PolicyError::UnknownSyscall { .. })
    ));
}

#[test]
fn conditions_that_cannot_be_meant_are_refused() {
    for (argument, width, values) in [
        (6, 32, r#"{ "A": 1 }"#),
        (0, 32, "{}"),
        (0, 32, r#"{ "A": "0x100000000" }"#),
    ] {
        let rule = format!(
            r#"{{ "syscall": "read", "why": "x", "when": [{{ "argument": {argument}, "width": {width}, "operator": "one-of", "values": {values} }}] }}"#
        );
        assert!(
            matches!(policy(&rule, ""), Err(PolicyError::Condition { .. })),
            "{rule}"
        );
    }
}

#[test]
fn an_allowed_system_call_is_not_refused_without_a_condition() {
    let refusal = r#"{ "syscall": "read", "errno": "EPERM", "why": "x" }"#;
    assert!(
        matches!(compiled("", refusal), Err(PolicyError::Contradiction(name)) if name == "read")
    );
}

#[test]
fn an_empty_policy_is_refused() {
    let error = Policy::default()
        .compile(Architecture::X86_64, Mode::Enforce)
        .unwrap_err();
    assert!(matches!(error, PolicyError::Empty));
}

#[test]
fn a_policy_that_is_too_long_is_refused() {
    let padding = " ".repeat(crate::limits::POLICY_BYTES);
    let json = format!(r#"{{ "name": "test" }}{padding}"#);
    assert!(matches!(Policy::parse(&json), Err(PolicyError::TooLong(_))));
}

#[test]
fn operators_mean_what_they_say() {
    let with = |operator: &str, width: u8| {
        let rule = format!(
            r#"{{ "syscall": "bind", "why": "x", "when": [{{ "argument": 1, "width": {width}, "operator": "{operator}", "values": {{ "A": 1, "B": 4 }} }}] }}"#
        );
        policy(&rule, "").unwrap()
    };
    let allowed = |policy: &Policy, value: u64| {
        verdict(
            policy,
            Mode::Enforce,
            Architecture::X86_64,
            "bind",
            &[0, value],
        ) == Verdict::Allowed
    };
    const HIGH: u64 = 1 << 40;
    for (operator, width, holds, fails) in [
        ("one-of", 32, vec![1, 4, HIGH | 1], vec![0, 2, 5]),
        ("one-of", 64, vec![1, 4], vec![0, 5, HIGH | 1]),
        ("none-of", 32, vec![0, 5, HIGH], vec![1, 4, HIGH | 4]),
        ("none-of", 64, vec![0, 5, HIGH | 4], vec![1, 4]),
        ("no-bits", 32, vec![0, 2, 8], vec![1, 4, 7]),
        ("no-bits", 64, vec![0, 2, HIGH], vec![1, 4, HIGH | 1]),
        ("only-bits", 32, vec![0, 1, 4, 5, HIGH | 5], vec![2, 8]),
        ("only-bits", 64, vec![0, 5], vec![2, HIGH, HIGH | 5]),
    ] {
        let policy = with(operator, width);
        for value in holds {
            assert!(allowed(&policy, value), "{operator} {width}: {value:#x}");
        }
        for value in fails {
            assert!(!allowed(&policy, value), "{operator} {width}: {value:#x}");
        }
    }
}

#[test]
fn all_conditions_must_hold() {
    let policy = policy(
        r#"{ "syscall": "bind", "why": "x", "when": [
            { "argument": 0, "width": 32, "operator": "one-of", "values": { "A": 1, "B": 2 } },
            { "argument": 1, "width": 32, "operator": "one-of", "values": { "C": 3, "D": 4 } }
        ] }"#,
        "",
    )
    .unwrap();
    for first in 0..6 {
        for second in 0..6 {
            let expected = [1, 2].contains(&first) && [3, 4].contains(&second);
            let found = verdict(
                &policy,
                Mode::Enforce,
                Architecture::Aarch64,
                "bind",
                &[first, second],
            );
            assert_eq!(found == Verdict::Allowed, expected, "{first} {second}");
        }
    }
}

#[test]
fn a_rule_without_conditions_absorbs_others_in_either_order() {
    let narrow = r#"{ "syscall": "bind", "why": "x", "when": [{ "argument": 0, "width": 32, "operator": "one-of", "values": { "A": 1 } }] }"#;
    let wide = r#"{ "syscall": "bind", "why": "x" }"#;
    for rules in [format!("{narrow}, {wide}"), format!("{wide}, {narrow}")] {
        let policy = policy(&rules, "").unwrap();
        let found = verdict(&policy, Mode::Enforce, Architecture::X86_64, "bind", &[9]);
        assert_eq!(found, Verdict::Allowed, "{rules}");
    }
}
