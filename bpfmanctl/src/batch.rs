//! Commands over several ids: every one is tried, each failure printed, and one error sums up.

use crate::client::ClientError;
use crate::console::{Console, printable};
use crate::exit::Error;
use ipc::messages::failure::FailureCode;
use std::fmt::Display;

/// What is done to which things.
pub(crate) struct Batch {
    /// `program` or `link`.
    pub(crate) noun: &'static str,
    /// `unload` or `detach`.
    pub(crate) verb: &'static str,
    /// Things that do not exist count as done.
    pub(crate) ignore_missing: bool,
}

impl Batch {
    pub(crate) fn run<Id: Copy + Display>(
        &self,
        ids: &[Id],
        console: &mut Console<'_>,
        mut act: impl FnMut(Id) -> Result<(), ClientError>,
    ) -> Result<(), Error> {
        let mut failed = 0;
        for id in ids {
            match act(*id) {
                Err(error) if !(self.ignore_missing && is_missing(&error)) => {
                    failed += 1;
                    let error = printable(&error.to_string(), true);
                    writeln!(console.errors, "{} {id}: {error}", self.noun)?;
                }
                _ => {}
            }
        }
        if failed == 0 {
            return Ok(());
        }
        let (noun, verb) = (self.noun, self.verb);
        Err(Error::Failed(format!(
            "{failed} of {} {noun}(s) failed to {verb}",
            ids.len()
        )))
    }
}

/// Whether the thing does not exist at all. A program that is in the kernel but not bpfman's is another matter.
fn is_missing(error: &ClientError) -> bool {
    error.failure().is_some_and(|failure| {
        failure.code == FailureCode::NotFound && !failure.cause.contains("not managed by bpfman")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::failure::{Failure, Stage};

    fn fail(code: FailureCode, cause: &str) -> ClientError {
        ClientError::Failed(Box::new(Failure::new(code, Stage::Unload, cause)))
    }

    fn unload(id: u32) -> Result<(), ClientError> {
        match id {
            1 => Err(fail(FailureCode::NotFound, "program 1 does not exist")),
            2 => {
                let cause = "program 2 exists in kernel but is not managed by bpfman";
                Err(fail(FailureCode::NotFound, cause))
            }
            3 => Err(fail(FailureCode::PermissionDenied, "no")),
            _ => Ok(()),
        }
    }

    fn run(ids: &[u32], ignore_missing: bool) -> (Option<String>, String) {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut console = Console {
            output: &mut output,
            errors: &mut errors,
            width: None,
        };
        let batch = Batch {
            noun: "program",
            verb: "unload",
            ignore_missing,
        };
        let outcome = batch.run(ids, &mut console, unload);
        assert!(output.is_empty());
        (
            outcome.err().map(|error| error.to_string()),
            String::from_utf8(errors).unwrap(),
        )
    }

    #[test]
    fn all_are_tried_and_each_failure_printed() {
        assert_eq!(run(&[7, 8], false), (None, String::new()));
        assert_eq!(
            run(&[1, 7, 3], false),
            (
                Some("2 of 3 program(s) failed to unload".to_owned()),
                "program 1: unload: program 1 does not exist\nprogram 3: unload: no\n".to_owned()
            )
        );
    }

    #[test]
    fn missing_ones_are_forgiven_and_foreign_ones_not() {
        let (error, errors) = run(&[1, 2, 7], true);
        assert_eq!(error.as_deref(), Some("1 of 3 program(s) failed to unload"));
        assert_eq!(
            errors,
            "program 2: unload: program 2 exists in kernel but is not managed by bpfman\n"
        );
    }
}
