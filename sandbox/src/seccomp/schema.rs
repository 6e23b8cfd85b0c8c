//! The form of a policy file. Unknown keys are errors: a misspelt condition would otherwise be a hole.

use super::{Architecture, PolicyError};
use crate::limits;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A policy file, or a base list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// What it is for, in one word.
    pub name: String,
    /// Base lists.
    #[serde(default)]
    pub includes: Vec<String>,
    /// What may be done.
    #[serde(default)]
    pub allow: Vec<Rule>,
    /// What fails with an error.
    #[serde(default)]
    pub refuse: Vec<Refusal>,
}

/// A system call that may be made, when all conditions hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name.
    pub syscall: String,
    /// Conditions on its arguments.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// Only on this architecture; needed for names that the other does not have.
    #[serde(default)]
    pub only: Option<Only>,
    /// Which code path needs it.
    pub why: String,
}

/// A system call that fails with an error when all conditions hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Its name.
    pub syscall: String,
    /// Conditions on its arguments.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// Only on this architecture.
    #[serde(default)]
    pub only: Option<Only>,
    /// The error, by name.
    pub errno: String,
    /// Who asks, and why the answer no is good enough.
    pub why: String,
}

/// An architecture in a file.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub enum Only {
    /// x86-64.
    #[serde(rename = "x86-64")]
    X86_64,
    /// aarch64.
    #[serde(rename = "aarch64")]
    Aarch64,
}

impl Only {
    /// Whether a rule with this restriction concerns the architecture.
    pub fn admits(only: Option<Only>, architecture: Architecture) -> bool {
        match only {
            None => true,
            Some(Only::X86_64) => architecture == Architecture::X86_64,
            Some(Only::Aarch64) => architecture == Architecture::Aarch64,
        }
    }
}

/// A condition on one argument. The names of the values are for the reader, and checked by a test where a library knows them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Which, from 0.
    pub argument: u8,
    /// How many bits the kernel looks at: 32 for int, 64 for long and pointers.
    pub width: Width,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub values: BTreeMap<String, Number>,
}

/// Bits of an argument.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "u8")]
pub enum Width {
    /// An int.
    Bits32,
    /// A long or a pointer.
    Bits64,
}

impl TryFrom<u8> for Width {
    type Error = &'static str;

    fn try_from(bits: u8) -> Result<Self, Self::Error> {
        match bits {
            32 => Ok(Width::Bits32),
            64 => Ok(Width::Bits64),
            _ => Err("width is 32 or 64"),
        }
    }
}

/// How an argument is compared with the values.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Operator {
    /// It equals one of them.
    OneOf,
    /// It equals none of them.
    NoneOf,
    /// It has none of their bits.
    NoBits,
    /// It has no bits but theirs.
    OnlyBits,
}

/// A number, in JSON or as "0x…".
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "Spelling")]
pub struct Number(pub u64);

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelling {
    Decimal(u64),
    Hexadecimal(String),
}

impl TryFrom<Spelling> for Number {
    type Error = &'static str;

    fn try_from(spelling: Spelling) -> Result<Self, Self::Error> {
        match spelling {
            Spelling::Decimal(number) => Ok(Number(number)),
            Spelling::Hexadecimal(text) => text
                .strip_prefix("0x")
                .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .map(Number)
                .ok_or("a value is a number or \"0x…\""),
        }
    }
}

impl PolicyFile {
    /// Reads one file and checks every rule by itself.
    pub fn parse(json: &str) -> Result<Self, PolicyError> {
        if json.len() > limits::POLICY_BYTES {
            return Err(PolicyError::TooLong(json.len()));
        }
        let file: PolicyFile = serde_json::from_str(json)?;
        for rule in &file.allow {
            check(&file.name, &rule.syscall, &rule.why, &rule.when)?;
        }
        for refusal in &file.refuse {
            check(&file.name, &refusal.syscall, &refusal.why, &refusal.when)?;
        }
        Ok(file)
    }
}

fn check(policy: &str, syscall: &str, why: &str, when: &[Condition]) -> Result<(), PolicyError> {
    if why.trim().is_empty() {
        return Err(PolicyError::NoReason {
            policy: policy.into(),
            syscall: syscall.into(),
        });
    }
    for condition in when {
        let fault = if condition.argument > 5 {
            "a system call has arguments 0 to 5"
        } else if condition.values.is_empty() {
            "a condition without values holds always or never"
        } else if condition.width == Width::Bits32
            && condition
                .values
                .values()
                .any(|value| value.0 > u64::from(u32::MAX))
        {
            "a value does not fit in 32 bits"
        } else {
            continue;
        };
        return Err(PolicyError::Condition {
            policy: policy.into(),
            syscall: syscall.into(),
            fault,
        });
    }
    Ok(())
}
