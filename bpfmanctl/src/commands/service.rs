//! `status`, `doctor`, `version`: the service itself.

use super::{Service, print, write};
use crate::cli::OutputArgs;
use crate::console::{Console, printable};
use crate::exit::Error;
use crate::{json, text, version};

pub(super) fn status(
    arguments: OutputArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let processes = service.connect()?.status()?;
    print(
        console,
        arguments.output,
        |width| text::processes(&processes, width),
        || json::Status::from(processes.clone()),
    )
}

pub(super) fn doctor(
    arguments: OutputArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let report = service.connect()?.doctor()?;
    let text = |_| match report.findings.as_slice() {
        [] => format!("no differences ({} checked)\n", report.checked),
        findings => findings
            .iter()
            .map(|finding| printable(finding, false) + "\n")
            .collect(),
    };
    print(console, arguments.output, text, || {
        json::Doctor::from(&report)
    })?;
    match report.findings.len() {
        0 => Ok(()),
        found => Err(Error::Failed(format!(
            "{found} difference(s) between the records, the pins and the kernel"
        ))),
    }
}

pub(super) fn version(console: &mut Console<'_>) -> Result<(), Error> {
    write(console, &version::lines())
}
