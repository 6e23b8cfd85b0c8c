//! Which functions of the object are asked for.

use super::error::CompileError;
use super::functions::Functions;
use crate::limits;
use ipc::limits::LOAD_PROGRAMS;
use ipc::messages::program::ProgramRequest;
use std::collections::BTreeSet;

/// The functions asked for, in the order of the request.
pub(super) fn select(
    functions: &Functions<'_>,
    requests: &[ProgramRequest],
) -> Result<Vec<usize>, CompileError> {
    if requests.is_empty() {
        return Err(CompileError::NoPrograms);
    }
    if requests.len() > LOAD_PROGRAMS {
        return Err(CompileError::TooManyPrograms);
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = requests
        .iter()
        .find(|request| !seen.insert(request.name.as_str()))
    {
        return Err(CompileError::DuplicateProgram(twice.name.clone()));
    }
    let available: BTreeSet<&str> = functions
        .programs()
        .map(|(_, function)| function.name)
        .collect();
    let missing: BTreeSet<&str> = seen.difference(&available).copied().collect();
    if !missing.is_empty() {
        let mut suggestions: Vec<String> = Vec::new();
        for name in &missing {
            for candidate in similar(name, available.iter().copied()) {
                if !suggestions.contains(&candidate) {
                    suggestions.push(candidate);
                }
            }
        }
        suggestions.truncate(limits::SUGGESTIONS);
        return Err(CompileError::ProgramsNotFound {
            missing: missing.into_iter().map(str::to_owned).collect(),
            available: available.into_iter().map(str::to_owned).collect(),
            suggestions,
        });
    }
    requests
        .iter()
        .map(|request| {
            let mut of_name = functions
                .programs()
                .filter(|(_, function)| function.name == request.name);
            match (of_name.next(), of_name.next()) {
                (Some((index, _)), None) => Ok(index),
                _ => Err(CompileError::Malformed(format!(
                    "it has two programs \"{}\"",
                    request.name
                ))),
            }
        })
        .collect()
}

/// Names that may have been meant by `name`, the likeliest first.
pub(crate) fn similar<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<String> {
    // Below this similarity two names have no more than some letters in common.
    const ENOUGH: f64 = 0.75;
    let mut scored: Vec<(f64, &str)> = candidates
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score >= ENOUGH)
        .collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(right.1)));
    scored.dedup_by(|left, right| left.1 == right.1);
    scored
        .into_iter()
        .take(limits::SUGGESTIONS)
        .map(|(_, name)| name.to_owned())
        .collect()
}
