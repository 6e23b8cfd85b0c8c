//! What is logged, and in which form.

use crate::log_object::{object, unlogged};
use configuration::Format;
use sandbox::logging::line::Entry;
use std::fmt::{self, Display};
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// What is wrong with a log specification.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It is no specification.
    #[error(transparent)]
    Specification(#[from] sandbox::logging::LogError),
    /// It has a level or a component that is none.
    #[error("log specification `{0}` {1}")]
    Unknown(String, String),
    /// It passed the check, and yet is not understood.
    #[error("log specification `{0}` is wrong")]
    Unparsable(String),
}

/// A specification as users write it, in the spelling that the workers take.
pub fn normalize(spec: &str) -> Result<String, SpecError> {
    let level = |name: &str| match name {
        "warning" => "warn".to_owned(),
        "err" => "error".to_owned(),
        name => name.to_owned(),
    };
    let directives: Vec<String> = spec
        .split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
        .map(|directive| match directive.split_once('=') {
            Some((name, spec)) => format!("{}={}", component(name), level(spec)),
            None => level(directive),
        })
        .collect();
    let normal = directives.join(",");
    sandbox::logging::check(&normal)?;
    match configuration::specification_faults(spec).pop() {
        Some(fault) => Err(SpecError::Unknown(spec.to_owned(), fault)),
        None => Ok(normal),
    }
}

/// Components of the established service, as whose work it is here.
fn component(name: &str) -> &str {
    match name {
        "server" => "api",
        "manager" => "loader",
        "store" => "loader_worker::store",
        "lock" => "supervisor::prepare::lock",
        "setup" => "supervisor::prepare",
        "csi" => "api_worker::csi",
        other => other,
    }
}

/// Sends what the specification selects to standard error. To be called once.
pub fn init(spec: &str, format: Format) -> Result<(), SpecError> {
    let (selected, handle) = reload::Layer::new(targets(spec)?);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        Format::Text => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
        Format::Json => layer.event_format(Objects).boxed(),
    };
    tracing_subscriber::registry()
        .with(selected)
        .with(layer)
        .try_init()
        .map_err(|_| sandbox::logging::LogError::Twice)?;
    SELECTED
        .set((handle, format))
        .map_err(|_| sandbox::logging::LogError::Twice.into())
}

/// What is selected and how it is written, for as long as the process lives.
static SELECTED: OnceLock<(reload::Handle<Targets, Registry>, Format)> = OnceLock::new();

/// What the process calls itself in the log.
const COMPONENT: &str = "supervisor";

/// Says why the process ends, whatever is selected; `name` is what it was called by.
pub fn last_words(name: &str, error: &dyn Display) {
    let line = match SELECTED.get() {
        Some((_, Format::Json)) => {
            object(COMPONENT, std::process::id(), &unlogged(&error.to_string()))
        }
        Some((_, Format::Text)) | None => format!("{name}: error: {error}\n"),
    };
    // Fails only when there is nobody to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Events as JSON objects, as those of the workers are written.
struct Objects;

impl<S, N> FormatEvent<S, N> for Objects
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
        let entry = Entry::of(event).ok_or(fmt::Error)?;
        // Asked each time: the spawner, which is a fork, has another.
        writer.write_str(&object(COMPONENT, std::process::id(), &entry))
    }
}

/// Selects something else from now on.
pub fn change(spec: &str) -> Result<(), SpecError> {
    let targets = targets(spec)?;
    let never = sandbox::logging::LogError::Never;
    match SELECTED.get() {
        Some((handle, _)) => handle.reload(targets).map_err(|_| never.into()),
        None => Err(never.into()),
    }
}

fn targets(spec: &str) -> Result<Targets, SpecError> {
    let targets: Targets = spec
        .parse()
        .map_err(|_| SpecError::Unparsable(spec.to_owned()))?;
    if spec.contains("ractor=") {
        return Ok(targets);
    }
    // Its spans say nothing that the lines inside them do not say.
    Ok(targets.with_target("ractor", tracing::Level::WARN))
}

/// Now, as it stands in front of log lines.
pub fn timestamp() -> String {
    let mut text = String::new();
    // Writing to a string does not fail; a clock before 1970 leaves the line without time.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_levels_are_taken() {
        assert_eq!(
            normalize("warning, loader=err").unwrap(),
            "warn,loader=error"
        );
        assert_eq!(normalize("debug").unwrap(), "debug");
    }

    #[test]
    fn components_of_the_established_service_are_whose_work_it_is() {
        assert_eq!(
            normalize("info,server=debug,csi=trace,image=warn").unwrap(),
            "info,api=debug,api_worker::csi=trace,image=warn"
        );
    }

    #[test]
    fn what_the_workers_would_refuse_is_refused_at_once() {
        for wrong in ["loud", "loader=", "=info", "3"] {
            assert!(normalize(wrong).is_err(), "{wrong}");
        }
        let told = normalize("info,imgae=debug").unwrap_err().to_string();
        assert!(told.contains("did you mean \"image\"?"), "{told}");
    }
}
