//! Who may change what at the moment.
//!
//! A change claims the hook that it is about and the programs that it needs, all at once, and keeps the claim until it is
//! committed or taken back. Changes that have nothing in common run beside one another; those of one hook run one after
//! the other, in the order in which they came. Nobody claims a second time while holding a claim, so nobody can wait for
//! somebody who waits for them.

use crate::poison;
use ipc::messages::chain::HookKey;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// What can be claimed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Key {
    /// Everything that is managed. Every change has a share of it; what must see nothing half done has it alone.
    Everything,
    /// Which programs there are, with what they share: map sets and plans.
    Programs,
    /// One program and those of its links that are on no hook of an interface.
    Program(u32),
    /// A hook whose chain bpfman makes.
    Chain(HookKey),
    /// The other hooks of an interface, where the kernel keeps the order.
    Interface {
        /// Inode of the network namespace.
        nsid: u64,
        /// Interface index.
        ifindex: u32,
    },
    /// Volumes of pods, all together: what is mounted somewhere may be any one's.
    Volumes,
}

/// A key, and whether others may have it too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Need {
    key: Key,
    is_shared: bool,
}

impl Need {
    /// For one alone.
    pub fn alone(key: Key) -> Self {
        Self {
            key,
            is_shared: false,
        }
    }

    /// For all who only need it to stay as it is.
    pub fn shared(key: Key) -> Self {
        Self {
            key,
            is_shared: true,
        }
    }

    fn excludes(&self, other: &Self) -> bool {
        self.key == other.key && !(self.is_shared && other.is_shared)
    }
}

/// All claims, granted or waiting.
#[derive(Debug, Default)]
pub struct Claims(Arc<Mutex<Queue>>);

/// In the order in which they came.
#[derive(Debug, Default)]
struct Queue {
    entries: Vec<Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    needs: Vec<Need>,
    /// Who waits for it; `None` when it is granted.
    waiting: Option<oneshot::Sender<()>>,
}

/// A granted claim, given back when dropped.
#[derive(Debug)]
pub struct Claim {
    queue: Arc<Mutex<Queue>>,
    number: u64,
}

impl Claims {
    /// Waits until nobody who came earlier has or wants any of it.
    pub async fn claim(&self, needs: Vec<Need>) -> Claim {
        let (sender, granted) = oneshot::channel();
        let claim = {
            let mut queue = poison::lock(&self.0);
            let number = queue.next;
            queue.next += 1;
            queue.entries.push(Entry {
                number,
                needs,
                waiting: Some(sender),
            });
            queue.grant();
            Claim {
                queue: Arc::clone(&self.0),
                number,
            }
        };
        // The sender is kept until it is used. Who gives up here drops the claim, and with it the place in the queue.
        let _ = granted.await;
        claim
    }
}

impl Queue {
    /// Lets go ahead whom nobody before them keeps from it.
    fn grant(&mut self) {
        for place in 0..self.entries.len() {
            let (before, rest) = self.entries.split_at_mut(place);
            let Some(entry) = rest.first_mut() else {
                return;
            };
            let is_free = before.iter().all(|other| {
                let mut pairs = entry.needs.iter();
                !pairs.any(|own| other.needs.iter().any(|theirs| own.excludes(theirs)))
            });
            if is_free && let Some(waiting) = entry.waiting.take() {
                // Nobody waits any more: their claim is about to be dropped.
                let _ = waiting.send(());
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut queue = poison::lock(&self.queue);
        queue.entries.retain(|entry| entry.number != self.number);
        queue.grant();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// Claims by one number per key, negative for alone.
    fn needs(keys: &[i32]) -> Vec<Need> {
        let one = |key: &i32| {
            let program = Key::Program(key.unsigned_abs());
            if *key < 0 {
                Need::alone(program)
            } else {
                Need::shared(program)
            }
        };
        keys.iter().map(one).collect()
    }

    fn is_ready<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_has_nothing_in_common_does_not_wait() {
        let claims = Claims::default();
        let first = is_ready(pin!(claims.claim(needs(&[1, -2])))).unwrap();
        let _other = is_ready(pin!(claims.claim(needs(&[1, -3])))).unwrap();
        let mut same = pin!(claims.claim(needs(&[-2])));
        assert!(is_ready(same.as_mut()).is_none());
        // Behind one that waits: the order is kept.
        let mut later = pin!(claims.claim(needs(&[2])));
        assert!(is_ready(later.as_mut()).is_none());
        let mut alone = pin!(claims.claim(needs(&[-1])));
        assert!(is_ready(alone.as_mut()).is_none());
        drop(first);
        let same = is_ready(same).unwrap();
        assert!(is_ready(later.as_mut()).is_none());
        drop(same);
        assert!(is_ready(later).is_some());
        assert!(is_ready(alone).is_none(), "the other still has a share");
    }

    #[test]
    fn who_gives_up_leaves_the_queue() {
        let claims = Claims::default();
        let first = is_ready(pin!(claims.claim(needs(&[-1])))).unwrap();
        let mut impatient = Box::pin(claims.claim(needs(&[-1, -2])));
        assert!(is_ready(impatient.as_mut()).is_none());
        let mut behind = pin!(claims.claim(needs(&[-2])));
        assert!(is_ready(behind.as_mut()).is_none());
        drop(impatient);
        assert!(is_ready(behind).is_some());
        drop(first);
        assert!(poison::lock(&claims.0).entries.is_empty());
    }

    proptest! {
        /// However they overlap: never two at once that exclude one another, and all get their turn.
        #[test]
        fn everybody_gets_their_turn(
            list in proptest::collection::vec(proptest::collection::vec(prop_oneof![-4..0, 1..5], 1..4), 1..20),
        ) {
            let claims = Claims::default();
            let mut waiting: Vec<_> = list
                .iter()
                .map(|keys| (needs(keys), Box::pin(claims.claim(needs(keys)))))
                .collect();
            // A future does nothing before it is polled, so this is where they come.
            let mut held: Vec<(Vec<Need>, Claim)> = Vec::new();
            while !waiting.is_empty() {
                let before = waiting.len();
                waiting.retain_mut(|(needs, claim)| match is_ready(claim.as_mut()) {
                    Some(claim) => {
                        held.push((needs.clone(), claim));
                        false
                    }
                    None => true,
                });
                for (place, (one, _)) in held.iter().enumerate() {
                    for (other, _) in &held[place + 1..] {
                        prop_assert!(!one.iter().any(|key| other.iter().any(|theirs| key.excludes(theirs))));
                    }
                }
                prop_assert!(waiting.len() < before || !held.is_empty(), "nobody is left to go on");
                held.pop();
            }
        }
    }
}
