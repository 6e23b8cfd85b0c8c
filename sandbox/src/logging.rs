//! Log lines on descriptor 2: `role LEVEL target: message key=value`.
//!
//! In a worker descriptor 2 is a pipe to the supervisor, which adds the time and tells fields from the message ([`line`]).
//! Colours are for terminals alone. To be called before [`enter`](crate::enter()): asking whether descriptor 2 is a
//! terminal is an ioctl.

pub mod line;

use line::Parts;
use std::fmt;
use std::io::IsTerminal;
use std::sync::OnceLock;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// Why logging was not set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The specification is wrong.
    #[error(
        "log specification `{0}` is wrong; use LEVEL or TARGET=LEVEL separated by commas, as in info,loader_worker=debug"
    )]
    Specification(String),
    /// It was set up before.
    #[error("logging was set up twice")]
    Twice,
    /// It was not set up.
    #[error("logging was not set up")]
    Never,
}

/// What is selected, for as long as the process lives.
static SELECTED: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Sends what the specification selects to descriptor 2.
pub fn init(specification: &str, role: &'static str) -> Result<(), LogError> {
    let colours = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        .event_format(Line { role });
    let (selected, handle) = reload::Layer::new(targets(specification)?);
    tracing_subscriber::registry()
        .with(selected)
        .with(layer)
        .try_init()
        .map_err(|_| LogError::Twice)?;
    SELECTED.set(handle).map_err(|_| LogError::Twice)
}

/// Selects something else from now on.
pub fn change(specification: &str) -> Result<(), LogError> {
    let targets = targets(specification)?;
    let handle = SELECTED.get().ok_or(LogError::Never)?;
    handle.reload(targets).map_err(|_| LogError::Never)?;
    tracing::info!("logs {specification}");
    Ok(())
}

/// Checks a specification without setting anything up, for whoever takes it from a user.
pub fn check(specification: &str) -> Result<(), LogError> {
    targets(specification).map(drop)
}

/// Names of roles stand for their crates, so that users write `loader=debug`.
fn targets(specification: &str) -> Result<Targets, LogError> {
    let error = || LogError::Specification(specification.chars().take(80).collect());
    if specification.len() > crate::limits::LOG_SPEC_BYTES {
        return Err(error());
    }
    // Frame by frame, and what clients send in them: only for who asks for it by name.
    let mut targets = Targets::new().with_target("h2", tracing::level_filters::LevelFilter::INFO);
    for directive in specification
        .split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
    {
        match directive.split_once('=') {
            None => targets = targets.with_default(level(directive).ok_or_else(error)?),
            Some((target, name)) if !target.is_empty() => {
                targets = targets.with_target(crate_of(target), level(name).ok_or_else(error)?);
            }
            Some(_) => return Err(error()),
        }
    }
    Ok(targets)
}

fn level(name: &str) -> Option<tracing::level_filters::LevelFilter> {
    // Numbers, which the library takes too, would be one more spelling to keep for ever.
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    known.contains(&name).then(|| name.parse().ok()).flatten()
}

fn crate_of(target: &str) -> &str {
    match target {
        "loader" | "helper" => "loader_worker",
        "image" => "image_worker",
        "api" => "api_worker",
        other => other,
    }
}

struct Line {
    role: &'static str,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let level = metadata.level();
        write!(writer, "{} ", self.role)?;
        if writer.has_ansi_escapes() {
            write!(writer, "\x1b[{}m{level}\x1b[0m", colour(level))?;
        } else {
            write!(writer, "{level}")?;
        }
        let rest = format!(" {}: {}", metadata.target(), Parts::of(event));
        if writer.has_ansi_escapes() {
            writeln!(writer, "{}", line::readable(&rest))
        } else {
            writeln!(writer, "{rest}")
        }
    }
}

fn colour(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(specification: &str, emit: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .event_format(Line { role: "loader" });
        let subscriber = tracing_subscriber::registry()
            .with(targets(specification).unwrap())
            .with(layer);
        tracing::subscriber::with_default(subscriber, emit);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_names_role_level_target_message_and_fields() {
        let line = logged("info", || {
            tracing::warn!(target: "loader_worker::store", count = 3, name = "a", "opened");
        });
        assert_eq!(
            line,
            "loader WARN loader_worker::store: opened\u{1d}count=3\u{1f}name=a\n"
        );
    }

    #[test]
    fn levels_select_by_target() {
        let lines = logged("warn,loader=debug", || {
            tracing::debug!(target: "loader_worker::store", "kept");
            tracing::info!(target: "ractor", "dropped");
            tracing::error!(target: "ractor", "kept too");
        });
        assert_eq!(
            lines,
            "loader DEBUG loader_worker::store: kept\nloader ERROR ractor: kept too\n"
        );
    }

    #[test]
    fn a_newline_in_a_message_is_told_apart_from_the_end_of_the_line() {
        let lines = logged("info", || {
            tracing::info!(name = "a\nb", other = %"c\u{1f}level=d", "x\ny");
        });
        assert_eq!(lines.lines().count(), 1, "{lines:?}");
        let entry = line::Entry::split(lines.trim_start_matches("loader ").trim_end()).unwrap();
        assert_eq!(entry.message, "x\ny");
        let text = |text: &str| line::Value::Text(text.to_owned());
        let fields = [
            ("name".to_owned(), text("a\nb")),
            ("other".to_owned(), text("c\u{fffd}level=d")),
        ];
        assert_eq!(entry.fields, fields);
    }

    #[test]
    fn wrong_specifications_are_refused() {
        for wrong in ["loud", "loader=", "=info", "loader=loud", "3", "info;debug"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(check(&"x".repeat(crate::limits::LOG_SPEC_BYTES + 1)).is_err());
        for right in [
            "",
            "info",
            "off",
            "info, loader=debug",
            "warn,loader_worker::store=trace",
        ] {
            assert!(check(right).is_ok(), "{right}");
        }
    }
}
