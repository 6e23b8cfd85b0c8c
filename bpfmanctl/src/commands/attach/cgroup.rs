//! `link attach cgroup_skb` and its like.

use super::{Service, attach};
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
    let directory = open_directory(&path).map_err(|error| {
        let remedy = error.remedy();
        Error::Failed(format!(
            "resolve: control group \"{shown}\" {error}; {remedy}"
        ))
    })?;
    let path = path.into_os_string().into_string().map_err(|path| {
        Error::Failed(format!(
            "resolve: control group \"{}\": the path is not UTF-8",
            path.display()
        ))
    })?;
    attach(
        arguments.program_id,
        AttachSpec::Cgroup { kind, path },
        Some(directory.as_fd()),
        arguments.link,
        service,
        console,
    )
}
