//! `link attach cgroup_skb` and its like.

use super::{Service, attach, fit_first};
use crate::cli::CgroupCommand;
use crate::console::Console;
use crate::exit::Error;
use crate::object::open_directory;
use ipc::messages::attach::AttachSpec;
use std::os::fd::AsFd;
use std::path::Path;

pub(in crate::commands) fn cgroup(
    command: CgroupCommand,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let (kind, arguments) = command.into_parts();
    let shown = &arguments.path;
    let path = std::path::absolute(Path::new(shown))?;
    let opened = open_directory(&path).map_err(|error| {
        let remedy = error.remedy();
        Error::Failed(format!(
            "resolve: control group \"{shown}\" {error}; {remedy}"
        ))
    });
    let spec = |path| AttachSpec::Cgroup { kind, path };
    let directory = fit_first(opened, arguments.program_id, &spec(String::new()), service)?;
    let path = path.into_os_string().into_string().map_err(|path| {
        Error::Failed(format!(
            "resolve: control group \"{}\": the path is not UTF-8",
            path.display()
        ))
    })?;
    attach(
        arguments.program_id,
        spec(path),
        Some(directory.as_fd()),
        arguments.link,
        service,
        console,
    )
}
