//! The grammar of `link attach netkit`.

use super::{LinkArgs, NamespaceArgs};
use crate::parse;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use ipc::messages::mprog::NetkitHook;

#[derive(Args, Debug)]
pub(crate) struct NetkitArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// Name of the primary device
    #[arg(value_name = "INTERFACE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) interface: String,

    /// primary or peer
    #[arg(long, value_name = "HOOK", value_parser = parse::netkit_hook)]
    pub(crate) hook: NetkitHook,

    /// Lower runs first
    #[arg(short, long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) priority: i32,

    #[command(flatten)]
    pub(crate) namespace: NamespaceArgs,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}
