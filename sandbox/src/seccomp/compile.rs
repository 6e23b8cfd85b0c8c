//! A policy to BPF programs.
//!
//! A filter of seccompiler knows two actions, and of several filters the strictest answer counts. So the last filter allows
//! what any rule names, refusals included, and ends the process otherwise; before it, one filter per error number refuses.

use super::schema::{Condition, Only, Operator, Width};
use super::{Architecture, Policy, PolicyError, syscalls};
use crate::Mode;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// By system call number: the alternatives under which a rule holds. No alternative means: always.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

impl Policy {
    /// The programs, in the order in which they are to be installed.
    pub fn compile(
        &self,
        architecture: Architecture,
        mode: Mode,
    ) -> Result<Vec<BpfProgram>, PolicyError> {
        if self.allow.is_empty() {
            return Err(PolicyError::Empty);
        }
        let mut allowed = Rules::new();
        for rule in self
            .allow
            .iter()
            .filter(|rule| Only::admits(rule.only, architecture))
        {
            add(&mut allowed, &rule.syscall, &rule.when, architecture)?;
        }
        let mut refused: BTreeMap<u32, Rules> = BTreeMap::new();
        for refusal in self
            .refuse
            .iter()
            .filter(|refusal| Only::admits(refusal.only, architecture))
        {
            if refusal.when.is_empty()
                && allowed.contains_key(&number(&refusal.syscall, architecture)?)
            {
                return Err(PolicyError::Contradiction(refusal.syscall.clone()));
            }
            let rules = refused.entry(errno(&refusal.errno)?).or_default();
            add(rules, &refusal.syscall, &refusal.when, architecture)?;
        }
        for refusal in self
            .refuse
            .iter()
            .filter(|refusal| Only::admits(refusal.only, architecture))
        {
            add(&mut allowed, &refusal.syscall, &refusal.when, architecture)?;
        }

        let mut programs = Vec::with_capacity(refused.len() + 1);
        for (errno, rules) in refused {
            programs.push(filter(
                rules,
                SeccompAction::Allow,
                SeccompAction::Errno(errno),
                architecture,
            )?);
        }
        let otherwise = match mode {
            Mode::Enforce => SeccompAction::KillProcess,
            Mode::Log => SeccompAction::Log,
        };
        programs.push(filter(
            allowed,
            otherwise,
            SeccompAction::Allow,
            architecture,
        )?);
        Ok(programs)
    }
}

fn filter(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
    architecture: Architecture,
) -> Result<BpfProgram, PolicyError> {
    let target = match architecture {
        Architecture::X86_64 => TargetArch::x86_64,
        Architecture::Aarch64 => TargetArch::aarch64,
    };
    Ok(SeccompFilter::new(rules, otherwise, matched, target)?.try_into()?)
}

fn number(syscall: &str, architecture: Architecture) -> Result<i64, PolicyError> {
    syscalls::number(syscall, architecture).ok_or_else(|| PolicyError::UnknownSyscall {
        syscall: syscall.to_owned(),
        architecture: architecture.name(),
    })
}

/// A rule without conditions absorbs the others for the same system call, whichever comes first.
fn add(
    rules: &mut Rules,
    syscall: &str,
    when: &[Condition],
    architecture: Architecture,
) -> Result<(), PolicyError> {
    let number = number(syscall, architecture)?;
    let always = rules.get(&number).is_some_and(Vec::is_empty);
    let alternatives = rules.entry(number).or_default();
    if when.is_empty() {
        alternatives.clear();
    } else if !always {
        for conditions in expand(when)? {
            alternatives.push(SeccompRule::new(conditions)?);
        }
    }
    Ok(())
}

/// All conditions must hold, and `one-of` holds for any of its values: one rule per combination.
fn expand(when: &[Condition]) -> Result<Vec<Vec<SeccompCondition>>, PolicyError> {
    let mut combinations = vec![Vec::new()];
    for condition in when {
        let mut longer = Vec::new();
        for alternative in alternatives(condition)? {
            for combination in &combinations {
                longer.push([combination.as_slice(), &alternative].concat());
            }
        }
        combinations = longer;
    }
    Ok(combinations)
}

fn alternatives(condition: &Condition) -> Result<Vec<Vec<SeccompCondition>>, PolicyError> {
    let (width, ones) = match condition.width {
        Width::Bits32 => (SeccompCmpArgLen::Dword, u64::from(u32::MAX)),
        Width::Bits64 => (SeccompCmpArgLen::Qword, u64::MAX),
    };
    let compare =
        |operator, value| SeccompCondition::new(condition.argument, width.clone(), operator, value);
    let values = condition.values.values().map(|value| value.0);
    let bits = values.clone().fold(0, |bits, value| bits | value);
    Ok(match condition.operator {
        Operator::OneOf => values
            .map(|value| Ok(vec![compare(SeccompCmpOp::Eq, value)?]))
            .collect::<Result<_, PolicyError>>()?,
        Operator::NoneOf => {
            vec![
                values
                    .map(|value| compare(SeccompCmpOp::Ne, value))
                    .collect::<Result<_, _>>()?,
            ]
        }
        Operator::NoBits => vec![vec![compare(SeccompCmpOp::MaskedEq(bits), 0)?]],
        Operator::OnlyBits => vec![vec![compare(SeccompCmpOp::MaskedEq(!bits & ones), 0)?]],
    })
}

fn errno(name: &str) -> Result<u32, PolicyError> {
    let number = match name {
        "EPERM" => libc::EPERM,
        "ENOENT" => libc::ENOENT,
        "EACCES" => libc::EACCES,
        "ENOTTY" => libc::ENOTTY,
        "ENOSYS" => libc::ENOSYS,
        _ => return Err(PolicyError::UnknownErrno(name.to_owned())),
    };
    // Error numbers are small and positive on every architecture.
    Ok(number.unsigned_abs())
}
