//! The grammar of `link attach netfilter`.

use super::{LinkArgs, NamespaceArgs};
use crate::parse;
use clap::Args;
use ipc::messages::netfilter::{NetfilterFamily, NetfilterHook, NetfilterPlace};

#[derive(Args, Debug)]
pub(crate) struct NetfilterArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// ipv4 or ipv6
    #[arg(long, value_name = "FAMILY", value_parser = parse::netfilter_family)]
    family: NetfilterFamily,

    /// prerouting, input, forward, output or postrouting
    #[arg(long, value_name = "HOOK", value_parser = parse::netfilter_hook)]
    hook: NetfilterHook,

    /// Lower runs first, among rules and programs; one program for each
    #[arg(short, long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(i64::from(i32::MIN) + 1..i64::from(i32::MAX)))]
    priority: i32,

    /// Put fragments together before the program sees them; the priority is then above -400
    #[arg(long)]
    defrag: bool,

    #[command(flatten)]
    pub(crate) namespace: NamespaceArgs,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

impl NetfilterArgs {
    pub(crate) fn place(&self) -> NetfilterPlace {
        NetfilterPlace {
            family: self.family,
            hook: self.hook,
            priority: self.priority,
            defragment: self.defrag,
        }
    }
}
