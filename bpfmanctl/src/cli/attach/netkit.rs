//! The grammar of `link attach netkit`.

use super::InterfaceArgs;
use crate::parse;
use clap::Args;
use ipc::messages::mprog::NetkitHook;

#[derive(Args, Debug)]
pub(crate) struct NetkitArgs {
    #[command(flatten)]
    pub(crate) on: InterfaceArgs,

    /// primary or peer
    #[arg(long, value_name = "HOOK", value_parser = parse::netkit_hook)]
    pub(crate) hook: NetkitHook,
}
