//! How a command ends: exit codes and what is printed on the error stream.

use crate::client::ClientError;
use crate::console::{Console, printable};
use clap::error::{ContextKind, ErrorKind};
use ipc::messages::failure::{Failure, FailureCode, Stage};

/// All went well.
pub(crate) const SUCCESS: u8 = 0;
/// The command was understood and not carried out.
pub(crate) const FAILURE: u8 = 1;
/// The command was not understood.
pub(crate) const USAGE: u8 = 80;

/// A noun without a verb: clap's text is the help, without a word of what is wrong.
const MISSING: ErrorKind = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;

/// What clap ends its errors with.
const MORE: &str = "For more information, try '--help'.";

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The arguments do not parse, or help was asked for.
    #[error("{0}")]
    Parse(Box<clap::Error>),
    /// The arguments parse but do not make sense.
    #[error("{0}")]
    Usage(String),
    /// The service could not be asked, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It failed on this side.
    #[error("{0}")]
    Failed(String),
    /// Results could not be printed.
    #[error("cannot print the result: {0}")]
    Output(#[from] std::io::Error),
}

impl Error {
    /// A part of the grammar that this build does not carry out.
    pub(crate) fn unsupported(cause: impl Into<String>) -> Self {
        Failure::new(FailureCode::Unsupported, Stage::Request, cause).into()
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::Client(ClientError::Failed(Box::new(failure)))
    }
}

/// Prints what there is to print and returns the exit code. `usage` is that of the command, for errors that clap did not
/// make.
pub(crate) fn report(
    name: &str,
    outcome: Result<(), Error>,
    usage: impl FnOnce() -> String,
    console: &mut Console<'_>,
) -> u8 {
    // Help and version are results.
    let outcome = match outcome {
        Err(Error::Parse(error)) if !error.use_stderr() => {
            write!(console.output, "{}", error.render())
                .and_then(|()| console.output.flush())
                .map_err(Error::Output)
        }
        outcome => outcome,
    };
    let error = match outcome {
        Ok(()) => return SUCCESS,
        // The reader has seen enough (`bpfmanctl program list | head`).
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            return SUCCESS;
        }
        Err(error) => error,
    };

    // There is no one left to tell when the error stream itself fails.
    let _ = match &error {
        Error::Parse(error) if error.kind() == MISSING => {
            write!(
                console.errors,
                "{name}: error: a command is missing\n\n{}",
                error.render()
            )
        }
        // clap's text would list hidden commands.
        Error::Parse(error) if error.kind() == ErrorKind::MissingSubcommand => {
            let usage = error
                .get(ContextKind::Usage)
                .map(ToString::to_string)
                .unwrap_or_default();
            writeln!(
                console.errors,
                "{name}: error: a command is missing\n\n{usage}\n\n{MORE}"
            )
        }
        Error::Usage(text) => writeln!(
            console.errors,
            "{name}: error: {}\n\n{}\n\n{MORE}",
            printable(text, true),
            usage()
        ),
        // clap's text begins with "error: " and ends with a short usage.
        Error::Parse(error) => write!(console.errors, "{name}: {}", error.render()),
        error => writeln!(
            console.errors,
            "{name}: error: {}",
            printable(&error.to_string(), true)
        ),
    };
    if let Error::Client(ClientError::Failed(failure)) = &error
        && let Some(log) = &failure.verifier_log
    {
        let _ = write!(console.errors, "{}", verifier_log(log));
    }
    match error {
        Error::Parse(_) | Error::Usage(_) => USAGE,
        Error::Client(_) | Error::Failed(_) | Error::Output(_) => FAILURE,
    }
}

/// The whole log, every line, ending with a line end.
fn verifier_log(log: &str) -> String {
    let log = printable(log.trim_end_matches(['\n', '\0']), true);
    format!("verifier log:\n{log}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(outcome: Result<(), Error>) -> (u8, String, String) {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut console = Console {
            output: &mut output,
            errors: &mut errors,
            width: None,
        };
        let usage = || "Usage: bpfman link".to_owned();
        let code = report("bpfman", outcome, usage, &mut console);
        (
            code,
            String::from_utf8(output).unwrap(),
            String::from_utf8(errors).unwrap(),
        )
    }

    #[test]
    fn a_failure_names_stage_cause_and_remedy() {
        let failure = Failure::new(
            FailureCode::NotFound,
            Stage::Resolve,
            "interface \"x\" is unknown",
        )
        .remedy("see `ip link`");
        let (code, output, errors) = reported(Err(failure.into()));
        assert_eq!(code, 1);
        assert_eq!(output, "");
        assert_eq!(
            errors,
            "bpfman: error: resolve: interface \"x\" is unknown; see `ip link`\n"
        );
    }

    #[test]
    fn the_verifier_log_is_printed_whole() {
        let log: String = (0..500)
            .map(|line| format!("{line}: (b7) r0 = 0\n"))
            .collect();
        let failure = Failure::new(FailureCode::Rejected, Stage::Load, "rejected")
            .verifier_log(format!("{log}\0"));
        let (code, _, errors) = reported(Err(failure.into()));
        assert_eq!(code, 1);
        assert_eq!(
            errors,
            format!("bpfman: error: load: rejected\nverifier log:\n{log}")
        );
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let (code, output, errors) = reported(Err(std::io::Error::from(
            std::io::ErrorKind::BrokenPipe,
        )
        .into()));
        assert_eq!((code, output.as_str(), errors.as_str()), (0, "", ""));
    }

    #[test]
    fn usage_errors_have_their_own_code() {
        let (code, _, errors) = reported(Err(Error::Usage("no".to_owned())));
        assert_eq!(code, 80);
        assert_eq!(
            errors,
            "bpfman: error: no\n\nUsage: bpfman link\n\nFor more information, try '--help'.\n"
        );
    }
}
