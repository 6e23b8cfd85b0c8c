//! Who runs before whom. Pure.
//!
//! The order is total and depends on the members alone, never on the history of the hook: whatever the order in which the
//! same programs were attached, the chain is the same.

use std::cmp::Ordering;

/// What decides about a member's place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rank {
    /// Lower runs first; 0 is a priority like any other.
    pub priority: i32,
    /// C function name of the program.
    pub name: String,
    /// Kernel id of the program: the one that was loaded first runs first.
    pub program_id: u32,
    /// Verdicts after which the chain goes on, which may differ between two attachments of one program.
    pub mask: u32,
    /// bpfman's id of the attachment, the last resort between equals.
    pub link_id: u64,
}

/// The reason why one member runs before another, for people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// Its priority is lower.
    Priority,
    /// Same priority; its name comes first in the alphabet.
    Name,
    /// Same priority and name; its program was loaded earlier.
    Program,
    /// Two attachments of one program; its mask is lower.
    Mask,
    /// Equal in everything; it was attached earlier.
    Age,
}

impl Rank {
    /// How two members compare, and by what.
    pub fn compare(&self, other: &Self) -> (Ordering, Reason) {
        let by = [
            (self.priority.cmp(&other.priority), Reason::Priority),
            (self.name.cmp(&other.name), Reason::Name),
            (self.program_id.cmp(&other.program_id), Reason::Program),
            (self.mask.cmp(&other.mask), Reason::Mask),
        ];
        by.into_iter()
            .find(|(ordering, _)| ordering.is_ne())
            .unwrap_or((self.link_id.cmp(&other.link_id), Reason::Age))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other).0
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rank(priority: i32, name: &str, program_id: u32, link_id: u64) -> Rank {
        Rank {
            priority,
            name: name.into(),
            program_id,
            mask: 4,
            link_id,
        }
    }

    #[test]
    fn each_tie_has_its_breaker() {
        let least = rank(0, "a", 1, 1);
        for (other, reason) in [
            (rank(1, "a", 1, 1), Reason::Priority),
            (rank(0, "b", 1, 1), Reason::Name),
            (rank(0, "a", 2, 1), Reason::Program),
            (rank(0, "a", 1, 2), Reason::Age),
        ] {
            assert_eq!(least.compare(&other), (Ordering::Less, reason));
            assert_eq!(other.compare(&least), (Ordering::Greater, reason));
        }
        assert!(rank(i32::MIN, "z", 9, 9) < least);
    }

    proptest! {
        /// Link ids are given in the order of attaching: they are what a permutation changes.
        #[test]
        fn any_order_of_attaching_gives_the_same_chain(
            members in proptest::collection::vec((0_i32..3, "[ab]", 1_u32..4, 0_u32..3), 0..12),
            seed in any::<u64>(),
        ) {
            let chain = |members: &[(i32, String, u32, u32)]| {
                let mut ranks: Vec<Rank> = members
                    .iter()
                    .zip(1..)
                    .map(|((priority, name, program_id, mask), link_id)| Rank {
                        priority: *priority,
                        name: name.clone(),
                        program_id: *program_id,
                        mask: *mask,
                        link_id,
                    })
                    .collect();
                ranks.sort();
                ranks
                    .into_iter()
                    .map(|rank| (rank.priority, rank.name, rank.program_id, rank.mask))
                    .collect::<Vec<_>>()
            };
            let mut permuted = members.clone();
            permuted.sort_by_key(|member| {
                use std::hash::{DefaultHasher, Hash, Hasher};
                let mut hasher = DefaultHasher::new();
                (seed, member).hash(&mut hasher);
                hasher.finish()
            });
            prop_assert_eq!(chain(&members), chain(&permuted));
        }
    }
}
