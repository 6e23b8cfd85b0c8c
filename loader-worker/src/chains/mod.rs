//! Chains: programs of many owners on one XDP or clsact hook.
//!
//! What is on the hook is one program of bpfman's, its *head*: a dispatcher whose functions the members replace, a program
//! fused of all members, or the one member itself ([`strategy`]). Every change makes a whole new head beside the old one,
//! and puts it in its place by one act of the kernel's, so that each packet sees the old chain or the new one. The
//! directory of a *revision* in bpffs holds the pins of one head and of its members' links.
//!
//! Decisions are pure: [`order`] (who runs before whom), [`strategy`], [`verdicts`], [`rebuild`] (which steps a change
//! takes), [`dispatcher`] and [`fused`] (what the head looks like). [`member`] opens what members are made of, [`reach`] finds the way to filters, [`work`]
//! carries the steps out, and the engine commits.
//!
//! A dispatcher of libxdp that bpfman takes part in is no chain of this kind: [`guests`] decides what it becomes, and
//! [`libxdp`] puts it in its place as libxdp would.

pub mod dispatcher;
pub mod explain;
pub mod filter;
pub mod foreign;
pub mod fused;
pub mod guests;
pub mod libxdp;
pub mod member;
pub mod order;
pub mod presence;
pub mod reach;
pub mod rebuild;
pub mod records;
pub mod strategy;
pub mod support;
pub mod verdicts;
pub mod work;

use ipc::messages::attach::Direction;
use ipc::messages::chain::HookKind;
use ipc::messages::program::ProgramKind;

/// Whether programs of this kind become members of chains.
pub fn takes(kind: ProgramKind) -> bool {
    matches!(kind, ProgramKind::Xdp | ProgramKind::Tc)
}

/// The direction of a clsact hook; `None` for XDP.
pub fn direction(hook: HookKind) -> Option<Direction> {
    match hook {
        HookKind::Xdp => None,
        HookKind::TcIngress => Some(Direction::Ingress),
        HookKind::TcEgress => Some(Direction::Egress),
    }
}
