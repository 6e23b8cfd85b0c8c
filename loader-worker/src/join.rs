//! Where the two halves of a load meet: the request from the API worker and the plan from the image worker, in either
//! order, under one ticket. Pure; time is an argument.

use crate::limits;
use ipc::messages::loader::Ticket;
use std::collections::HashMap;
use std::time::Instant;

/// Halves that wait for their counterpart.
#[derive(Debug)]
pub struct Joins<L, P> {
    waiting: HashMap<Ticket, Waiting<L, P>>,
}

#[derive(Debug)]
struct Waiting<L, P> {
    half: Half<L, P>,
    deadline: Instant,
}

#[derive(Debug)]
enum Half<L, P> {
    Load(L),
    Plan(P),
}

/// What became of a half that was offered.
#[derive(Debug, Eq, PartialEq)]
pub enum Offer<L, P> {
    /// It waits.
    Waiting,
    /// Both halves are there.
    Joined(L, P),
    /// The same half is there already under this ticket; the new one comes back.
    Duplicate(L),
    /// Too many halves wait; the new one comes back.
    Full(L),
}

/// What became of a plan that was offered.
#[derive(Debug, Eq, PartialEq)]
pub enum PlanOffer<L, P> {
    /// It waits.
    Waiting,
    /// Both halves are there.
    Joined(L, P),
    /// Another plan is there already, or too many halves wait: dropped, its load will fail by its deadline.
    Dropped,
}

impl<L, P> Default for Joins<L, P> {
    fn default() -> Self {
        Self {
            waiting: HashMap::new(),
        }
    }
}

impl<L, P> Joins<L, P> {
    /// Offers a request.
    pub fn load(&mut self, ticket: Ticket, load: L, now: Instant) -> Offer<L, P> {
        match self.waiting.remove(&ticket) {
            Some(Waiting {
                half: Half::Plan(plan),
                ..
            }) => Offer::Joined(load, plan),
            Some(present) => {
                self.waiting.insert(ticket, present);
                Offer::Duplicate(load)
            }
            None if self.waiting.len() >= limits::JOINS => Offer::Full(load),
            None => {
                self.wait(ticket, Half::Load(load), now);
                Offer::Waiting
            }
        }
    }

    /// Offers a plan.
    pub fn plan(&mut self, ticket: Ticket, plan: P, now: Instant) -> PlanOffer<L, P> {
        match self.waiting.remove(&ticket) {
            Some(Waiting {
                half: Half::Load(load),
                ..
            }) => PlanOffer::Joined(load, plan),
            Some(present) => {
                self.waiting.insert(ticket, present);
                PlanOffer::Dropped
            }
            None if self.waiting.len() >= limits::JOINS => PlanOffer::Dropped,
            None => {
                self.wait(ticket, Half::Plan(plan), now);
                PlanOffer::Waiting
            }
        }
    }

    fn wait(&mut self, ticket: Ticket, half: Half<L, P>, now: Instant) {
        self.waiting.insert(
            ticket,
            Waiting {
                half,
                deadline: now + limits::JOIN_DEADLINE,
            },
        );
    }

    /// Gives up a ticket; the request comes back if it was waiting.
    pub fn cancel(&mut self, ticket: Ticket) -> Option<L> {
        self.waiting.remove(&ticket).and_then(Waiting::load)
    }

    /// The image worker is gone: no plan will come for the requests that wait. Plans that are there stay good.
    pub fn no_plans_will_come(&mut self) -> Vec<L> {
        self.take(|waiting| matches!(waiting.half, Half::Load(_)))
    }

    /// The API worker is gone: nobody waits for answers, and its successor numbers its tickets anew.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Drops what has waited too long; returns the requests among it.
    pub fn expire(&mut self, now: Instant) -> Vec<L> {
        self.take(|waiting| waiting.deadline <= now)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn take(&mut self, condition: impl Fn(&Waiting<L, P>) -> bool) -> Vec<L> {
        self.waiting
            .extract_if(|_, waiting| condition(waiting))
            .filter_map(|(_, waiting)| waiting.load())
            .collect()
    }
}

impl<L, P> Waiting<L, P> {
    fn load(self) -> Option<L> {
        match self.half {
            Half::Load(load) => Some(load),
            Half::Plan(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn halves_meet_in_either_order() {
        let now = Instant::now();
        let mut joins = Joins::default();
        assert_eq!(joins.load(1, "load", now), Offer::Waiting);
        assert_eq!(
            joins.plan(1, "plan", now),
            PlanOffer::Joined("load", "plan")
        );
        assert_eq!(joins.plan(2, "plan", now), PlanOffer::Waiting);
        assert_eq!(joins.load(2, "load", now), Offer::Joined("load", "plan"));
        assert!(joins.is_empty());
    }

    #[test]
    fn a_ticket_is_used_once_at_a_time() {
        let now = Instant::now();
        let mut joins: Joins<u8, u8> = Joins::default();
        assert_eq!(joins.load(1, 10, now), Offer::Waiting);
        assert_eq!(joins.load(1, 11, now), Offer::Duplicate(11));
        assert_eq!(joins.plan(1, 20, now), PlanOffer::Joined(10, 20));
        assert_eq!(joins.plan(1, 21, now), PlanOffer::Waiting);
        assert_eq!(joins.plan(1, 22, now), PlanOffer::Dropped);
        assert_eq!(joins.load(1, 12, now), Offer::Joined(12, 21));
    }

    #[test]
    fn one_half_more_than_the_bound_is_refused() {
        let now = Instant::now();
        let mut joins: Joins<(), ()> = Joins::default();
        for ticket in 0..limits::JOINS as u64 {
            assert_eq!(joins.load(ticket, (), now), Offer::Waiting);
        }
        assert_eq!(joins.load(limits::JOINS as u64, (), now), Offer::Full(()));
        assert_eq!(
            joins.plan(limits::JOINS as u64, (), now),
            PlanOffer::Dropped
        );
        // A plan whose request waits is never refused.
        assert_eq!(joins.plan(0, (), now), PlanOffer::Joined((), ()));
    }

    #[test]
    fn deadlines_and_deaths_end_waiting() {
        let now = Instant::now();
        let mut joins = Joins::default();
        joins.load(1, 10, now);
        joins.plan(2, 20, now);
        assert!(
            joins
                .expire(now + limits::JOIN_DEADLINE - Duration::from_millis(1))
                .is_empty()
        );
        assert_eq!(joins.expire(now + limits::JOIN_DEADLINE), vec![10]);
        assert!(joins.is_empty());

        joins.load(3, 30, now);
        joins.plan(4, 40, now);
        assert_eq!(joins.no_plans_will_come(), vec![30]);
        assert_eq!(joins.load(4, 41, now), Offer::Joined(41, 40));
        joins.load(5, 50, now);
        assert_eq!(joins.cancel(5), Some(50));
        assert_eq!(joins.cancel(5), None);
    }

    #[derive(Clone, Debug)]
    enum Event {
        Load(u64),
        Plan(u64),
        Cancel(u64),
        ImageGone,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0u64..8).prop_map(Event::Load),
            (0u64..8).prop_map(Event::Plan),
            (0u64..8).prop_map(Event::Cancel),
            Just(Event::ImageGone),
        ]
    }

    proptest! {
        /// Whatever happens, each request is answered once: joined, handed back, or still waiting.
        #[test]
        fn no_request_is_lost_or_answered_twice(events in proptest::collection::vec(event(), 0..200)) {
            let now = Instant::now();
            let mut joins: Joins<usize, usize> = Joins::default();
            let mut answered = Vec::new();
            let mut offered = 0;
            for (number, event) in events.into_iter().enumerate() {
                match event {
                    Event::Load(ticket) => {
                        offered += 1;
                        match joins.load(ticket, number, now) {
                            Offer::Waiting => {}
                            Offer::Joined(load, _) | Offer::Duplicate(load) | Offer::Full(load) => {
                                prop_assert_eq!(load, number);
                                answered.push(load);
                            }
                        }
                    }
                    Event::Plan(ticket) => {
                        if let PlanOffer::Joined(load, plan) = joins.plan(ticket, number, now) {
                            prop_assert_eq!(plan, number);
                            answered.push(load);
                        }
                    }
                    Event::Cancel(ticket) => answered.extend(joins.cancel(ticket)),
                    Event::ImageGone => answered.extend(joins.no_plans_will_come()),
                }
            }
            answered.extend(joins.expire(now + limits::JOIN_DEADLINE));
            prop_assert!(joins.is_empty());
            let count = answered.len();
            answered.sort_unstable();
            answered.dedup();
            prop_assert_eq!(count, answered.len());
            prop_assert_eq!(count, offered);
        }
    }
}
