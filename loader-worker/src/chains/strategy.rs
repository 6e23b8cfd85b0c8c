//! How the programs of a hook are called: what was asked for, or what this kernel and these members allow. Pure.

use ipc::messages::chain::Strategy;
use ipc::messages::failure::{Failure, FailureCode, Stage};

/// Members of a dispatcher: the number is part of the libxdp protocol.
pub const LIBXDP_MEMBERS: usize = 10;

/// Members of a fused program. The kernel takes 256 functions in one program; this leaves each member three of its own.
pub const FUSED_MEMBERS: usize = 64;

/// What decides beside what was asked for.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// How many members there will be; at least one.
    pub members: usize,
    /// Why this kernel lets no program replace a function of another; `None` where it does.
    pub no_replacing: Option<&'a str>,
    /// A member that cannot replace a function, and why.
    pub own_form: Option<(&'a str, &'a str)>,
}

/// The strategy, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    /// Which.
    pub strategy: Strategy,
    /// In a sentence, for people.
    pub reason: String,
}

/// Chooses, or says why what was asked for is not possible.
pub fn choose(requested: Option<Strategy>, facts: &Facts<'_>) -> Result<Choice, Failure> {
    let chosen = |strategy, reason: &str| {
        Ok(Choice {
            strategy,
            reason: reason.to_owned(),
        })
    };
    match requested {
        Some(Strategy::Direct) if facts.members > 1 => Err(Failure::new(
            FailureCode::FailedPrecondition,
            Stage::Attach,
            format!(
                "strategy direct is one program alone on the hook, and {} would be on it",
                facts.members
            ),
        )
        .remedy(
            "detach the others, or have them called as a chain: `bpfmanctl chain convert TYPE INTERFACE auto` turns a \
             hook with one program into one",
        )),
        Some(Strategy::Direct) => chosen(Strategy::Direct, "asked for"),
        Some(Strategy::Libxdp) => {
            if let Some(missing) = facts.no_replacing {
                return Err(
                    Failure::new(FailureCode::Unsupported, Stage::Attach, missing)
                        .remedy("use --strategy fused, or leave the choice to bpfman"),
                );
            }
            if let Some((name, why)) = facts.own_form {
                return Err(Failure::new(
                    FailureCode::FailedPrecondition,
                    Stage::Attach,
                    format!("program \"{name}\" cannot be a member of a dispatcher: {why}"),
                )
                .remedy("use --strategy fused, or leave the choice to bpfman"));
            }
            full(
                facts.members,
                LIBXDP_MEMBERS,
                "use --strategy fused for up to 64 members",
            )?;
            chosen(Strategy::Libxdp, "asked for")
        }
        Some(Strategy::Fused) => {
            full(facts.members, FUSED_MEMBERS, "detach one first")?;
            chosen(Strategy::Fused, "asked for")
        }
        None => {
            full(facts.members, FUSED_MEMBERS, "detach one first")?;
            if let Some(missing) = facts.no_replacing {
                return chosen(Strategy::Fused, missing);
            }
            if let Some((name, why)) = facts.own_form {
                return chosen(
                    Strategy::Fused,
                    &format!("program \"{name}\" cannot be a member of a dispatcher: {why}"),
                );
            }
            if facts.members > LIBXDP_MEMBERS {
                return chosen(Strategy::Fused, "a dispatcher has room for 10 members");
            }
            chosen(Strategy::Libxdp, "what this kernel and these members allow")
        }
    }
}

fn full(members: usize, limit: usize, remedy: &str) -> Result<(), Failure> {
    if members <= limit {
        return Ok(());
    }
    Err(Failure::new(
        FailureCode::ResourceExhausted,
        Stage::Attach,
        format!("no free dispatcher slots (all {limit} occupied)"),
    )
    .remedy(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(members: usize) -> Facts<'static> {
        Facts {
            members,
            no_replacing: None,
            own_form: None,
        }
    }

    fn strategy(requested: Option<Strategy>, facts: &Facts<'_>) -> Result<Strategy, FailureCode> {
        choose(requested, facts)
            .map(|choice| choice.strategy)
            .map_err(|failure| failure.code)
    }

    #[test]
    fn a_dispatcher_is_the_default_where_everything_allows_it() {
        assert_eq!(strategy(None, &facts(1)), Ok(Strategy::Libxdp));
        assert_eq!(strategy(None, &facts(10)), Ok(Strategy::Libxdp));
        assert_eq!(strategy(None, &facts(11)), Ok(Strategy::Fused));
        assert_eq!(strategy(None, &facts(64)), Ok(Strategy::Fused));
        let refused = Facts {
            no_replacing: Some("no trampolines"),
            ..facts(1)
        };
        assert_eq!(
            choose(None, &refused).unwrap(),
            Choice {
                strategy: Strategy::Fused,
                reason: "no trampolines".into()
            }
        );
        let own = Facts {
            own_form: Some(("count", "it has no BTF")),
            ..facts(2)
        };
        assert_eq!(strategy(None, &own), Ok(Strategy::Fused));
        assert_eq!(
            strategy(Some(Strategy::Libxdp), &own),
            Err(FailureCode::FailedPrecondition)
        );
        assert_eq!(
            strategy(Some(Strategy::Libxdp), &refused),
            Err(FailureCode::Unsupported)
        );
    }

    #[test]
    fn one_more_than_each_strategy_has_room_for_is_refused() {
        for (requested, limit) in [
            (Some(Strategy::Libxdp), LIBXDP_MEMBERS),
            (Some(Strategy::Fused), FUSED_MEMBERS),
            (None, FUSED_MEMBERS),
        ] {
            assert!(choose(requested, &facts(limit)).is_ok());
            let failure = choose(requested, &facts(limit + 1)).unwrap_err();
            assert_eq!(
                failure.cause,
                format!("no free dispatcher slots (all {limit} occupied)")
            );
        }
        assert_eq!(
            strategy(Some(Strategy::Direct), &facts(1)),
            Ok(Strategy::Direct)
        );
        let failure = choose(Some(Strategy::Direct), &facts(2)).unwrap_err();
        assert_eq!(failure.code, FailureCode::FailedPrecondition);
        // Whether the hook is used directly, or a chain is asked to be.
        assert!(failure.cause.ends_with("and 2 would be on it"), "{failure}");
    }
}
