//! `config`: what the service would make of its configuration file.

use super::{print, write};
use crate::cli::{ConfigCommand, Globals, OutputArgs};
use crate::console::{Console, printable};
use crate::exit::Error;
use crate::{json, text};
use configuration::{DEFAULT_FILE, Loaded, Origin, Signing};
use signing::{Policy, Trust};

/// Where the log specification of the command line comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Given {
    Environment,
    Flag,
}

impl Given {
    fn origin(self) -> &'static str {
        match self {
            Given::Environment => "environment BPFMAN_LOG",
            Given::Flag => "flag --log",
        }
    }
}

/// A key with what holds.
pub(crate) struct Row {
    pub(crate) key: String,
    /// In TOML.
    pub(crate) value: String,
    pub(crate) origin: &'static str,
    pub(crate) line: Option<usize>,
}

pub(super) fn run(
    command: ConfigCommand,
    globals: &Globals,
    log: Option<Given>,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let loaded = configuration::read(globals.config.as_deref())
        .map_err(|error| Error::Failed(format!("configuration: {error}")))?;
    match command {
        ConfigCommand::Check => check(&loaded, globals, log, console),
        ConfigCommand::Show(arguments) => show(&loaded, globals, log, arguments, console),
    }
}

fn check(
    loaded: &Loaded,
    globals: &Globals,
    log: Option<Given>,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    loaded
        .check_named(loaded.config.csi.enabled)
        .map_err(|error| Error::Failed(format!("configuration: {error}")))?;
    check_signers(&loaded.config.signing)?;
    if let (Some(spec), Some(given)) = (&globals.log, log)
        && let Some(fault) = configuration::specification_faults(spec).pop()
    {
        let origin = given.origin();
        return Err(Error::Failed(format!("{origin} \"{spec}\" {fault}")));
    }
    let mut lines: String = loaded
        .without_effect()
        .iter()
        .map(|line| printable(line, false) + "\n")
        .collect();
    lines += &match &loaded.file {
        Some(file) => format!("{}: in order\n", file.display()),
        None => format!("{DEFAULT_FILE} does not exist: the defaults hold\n"),
    };
    write(console, &lines)
}

/// With what is in the trust directory. The service starts without it, and accepts no image.
fn check_signers(signing: &Signing) -> Result<(), Error> {
    let trust = signing.trust_dir().map(Trust::read).transpose();
    let policy = trust.and_then(|trust| Policy::new(&signing.settings, &trust.unwrap_or_default()));
    policy.map(drop).map_err(|error| {
        Error::Failed(format!(
            "configuration: no image would be accepted: {error}; correct [signing], or the files in {}",
            signing.settings.trust_dir
        ))
    })
}

fn show(
    loaded: &Loaded,
    globals: &Globals,
    log: Option<Given>,
    arguments: OutputArgs,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let rows: Vec<Row> = loaded
        .values
        .iter()
        .map(|value| {
            let (origin, line) = match value.origin {
                Origin::Default => ("default", None),
                Origin::File(line) => ("file", Some(line)),
            };
            Row {
                key: value.key.clone(),
                value: value.text.clone(),
                origin,
                line,
            }
        })
        .map(|row| overridden(row, globals.log.as_deref(), log))
        .collect();
    let file = loaded.file.as_deref();
    print(
        console,
        arguments.output,
        |width| text::configuration(file, &rows, width),
        || json::Configuration::new(file, &rows),
    )
}

/// `--log` stands for the level and the components of the file.
fn overridden(row: Row, log: Option<&str>, given: Option<Given>) -> Row {
    let (Some(log), Some(given)) = (log, given) else {
        return row;
    };
    let value = if row.key == "logging.level" {
        format!("{log:?}")
    } else if row.key.starts_with("logging.components.") {
        "(overridden)".to_owned()
    } else {
        return row;
    };
    Row {
        value,
        origin: given.origin(),
        line: None,
        ..row
    }
}
