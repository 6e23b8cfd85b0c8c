//! What is logged, and in which form.

use configuration::Format;
use std::io::IsTerminal;
use std::sync::OnceLock;
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// What is wrong with a log specification.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It is no specification.
    #[error(transparent)]
    Specification(#[from] sandbox::logging::LogError),
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
            Some((component, name)) => format!("{component}={}", level(name)),
            None => level(directive),
        })
        .collect();
    let spec = directives.join(",");
    sandbox::logging::check(&spec)?;
    Ok(spec)
}

/// Sends what the specification selects to standard error. To be called once.
pub fn init(spec: &str, format: Format) -> Result<(), SpecError> {
    let (selected, handle) = reload::Layer::new(targets(spec)?);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        Format::Text => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
        Format::Json => layer.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(selected)
        .with(layer)
        .try_init()
        .map_err(|_| sandbox::logging::LogError::Twice)?;
    SELECTED
        .set(handle)
        .map_err(|_| sandbox::logging::LogError::Twice.into())
}

/// What is selected, for as long as the process lives.
static SELECTED: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Selects something else from now on.
pub fn change(spec: &str) -> Result<(), SpecError> {
    let targets = targets(spec)?;
    let never = sandbox::logging::LogError::Never;
    match SELECTED.get() {
        Some(handle) => handle.reload(targets).map_err(|_| never.into()),
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
    fn what_the_workers_would_refuse_is_refused_at_once() {
        for wrong in ["loud", "loader=", "=info", "3"] {
            assert!(normalize(wrong).is_err(), "{wrong}");
        }
    }
}
