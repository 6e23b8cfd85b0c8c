//! Programs of bpfman's in dispatchers of libxdp: coming, going, and noticing that xdp-loader took one off.
//!
//! Whether a guest is there is for the dispatcher on the interface to say. The record has which dispatcher that was when it
//! was last looked at; as long as that one is on the interface, nothing has changed, for a dispatcher never does.

mod leave;
mod look;

use super::{AttachCommand, Engine, now};
use crate::chains::guests::{self, Ours};
use crate::chains::libxdp::{self, Made, Session};
use crate::chains::{foreign, support, verdicts};
use crate::faults::{LibxdpAct, Point};
use crate::limits::{LIBXDP_LOCK_WAIT, LIBXDP_SWAPS};
use crate::network_namespace::NetworkPlace;
use crate::reconcile::leaving;
use crate::steps::Removal;
use crate::store::Change;
use crate::store::intents::{Intent, IntentNumber, Leaving};
use crate::store::records::StoredProgram;
use ipc::messages::attach::{AttachSpec, Link, LinkDetails, LinkRecord, XdpMode};
use ipc::messages::chain::{HookKey, HookKind};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

/// How an attempt to change a dispatcher ended without success.
enum Stopped {
    /// Somebody else was faster: again.
    Lost(Failure),
    /// For good.
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Stopped::Failed(failure)
    }
}

impl Engine {
    pub(super) async fn attach_as_guest(
        &self,
        command: &AttachCommand,
        stored: StoredProgram,
        place: &NetworkPlace,
        program: OwnedFd,
    ) -> Result<Link, Failure> {
        let record = LinkRecord {
            id: self.store.take_link_id(),
            program_id: command.program_id,
            kernel_link_id: None,
            kind: stored.record.kind,
            pin_path: String::new(),
            details: details(&command.spec, place)?,
            created_at: now(),
            metadata: command.metadata.clone(),
        };
        self.check_guest(&record, &stored).await?;
        let _coming = self.admit(&record, &stored)?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self
                .join_dispatcher(record.clone(), &stored, &program)
                .await
            {
                Ok(()) => break,
                Err(Stopped::Lost(_)) if attempt < LIBXDP_SWAPS => {}
                Err(Stopped::Lost(failure) | Stopped::Failed(failure)) => return Err(failure),
            }
        }
        tracing::info!(
            link = record.id,
            program = record.program_id,
            "attached as a guest of libxdp's"
        );
        self.link(record.id)
    }

    /// What can be said before libxdp's lock is taken.
    async fn check_guest(
        &self,
        record: &LinkRecord,
        stored: &StoredProgram,
    ) -> Result<(), Failure> {
        let refused = |code, cause: String, remedy: &str| {
            Err(Failure::new(code, Stage::Attach, cause).remedy(remedy))
        };
        if let Err(missing) = support::replacing() {
            let remedy = "attach without --cooperate: bpfman's own chain needs none of it";
            return refused(FailureCode::Unsupported, missing.clone(), remedy);
        }
        if let Some(why) = stored.member.as_ref().and_then(|form| form.own.as_deref()) {
            let name = &stored.record.name;
            let cause = format!("program \"{name}\" cannot be a member of a dispatcher: {why}");
            let remedy = "attach without --cooperate";
            return refused(FailureCode::FailedPrecondition, cause, remedy);
        }
        let key = record.details.guest_hook();
        let key = key.ok_or_else(|| no_guest(record.id))?;
        if let Some(hook) = self.present(key).await?.hook {
            let cause = format!(
                "interface {} has a chain of bpfman's own, which xdp-loader takes no part in",
                hook.dispatcher.interface
            );
            let remedy = "attach without --cooperate, or detach the members of the chain first";
            return refused(FailureCode::FailedPrecondition, cause, remedy);
        }
        let guests = self.guests_on(Some(key))?;
        let program_id = record.program_id;
        match guests.iter().find(|other| other.program_id == program_id) {
            Some(twin) => {
                let link = twin.id;
                let cause = format!(
                    "program {program_id} takes part in the dispatcher of libxdp on this interface already (link {link})"
                );
                let remedy = format!("detach link {link} first, also if xdp-loader took it off");
                refused(FailureCode::AlreadyExists, cause, &remedy)
            }
            None => Ok(()),
        }
    }

    /// One attempt.
    async fn join_dispatcher(
        &self,
        mut record: LinkRecord,
        stored: &StoredProgram,
        program: &OwnedFd,
    ) -> Result<(), Stopped> {
        let LinkDetails::XdpGuest {
            ifindex,
            priority,
            proceed_on,
            ..
        } = &record.details
        else {
            return Err(no_guest(record.id).into());
        };
        let ifindex = *ifindex;
        let mut session = Session::open(ifindex, LIBXDP_LOCK_WAIT, &*self.helpers).await?;
        let ours = Ours {
            name: &stored.record.name,
            priority: *priority,
            mask: verdicts::mask(HookKind::Xdp, proceed_on),
            has_frags: stored.member.as_ref().is_some_and(|form| form.has_frags),
        };
        let composition = guests::with(session.dispatcher(), ours)?;
        let made = session.make(&composition, Some(program.as_fd()))?;
        let old = session.on_hook().unwrap_or_default();

        let siblings = self.guests_on(record.details.guest_hook())?;

        self.faults.pass(&Point::Begin)?;
        let back = Leaving {
            ifindex,
            program_id: record.program_id,
            link: None,
            dispatchers: vec![old, made.id],
        };
        let begun = self.store.begin(&Intent::Leave(back.clone()));
        let number = begun.map_err(Failure::from)?;
        let outcome = match self.put(&mut session, Some(&made), Stage::Attach).await {
            Ok(run_in) => {
                if let LinkDetails::XdpGuest { mode, .. } = &mut record.details {
                    *mode = run_in;
                }
                let mut links = siblings;
                links.push(record);
                links.retain_mut(|link| place_in(link, ifindex, &made));
                let outdated = Removal::RetireLibxdp {
                    ifindex,
                    dispatcher: old,
                };
                let change = Change {
                    links,
                    finished: Some(number),
                    followed_by: vec![Intent::Outdated {
                        removals: vec![outdated],
                    }],
                    ..Change::default()
                };
                let committed = self.faults.pass(&Point::Commit);
                committed
                    .and_then(|()| Ok(self.store.commit(&change)?))
                    .map_err(Stopped::Failed)
            }
            Err(stopped) => Err(stopped),
        };
        match outcome {
            Ok(next) => {
                self.retire(&session, old, next).await;
                self.faults.pass(&Point::Answer)?;
                Ok(())
            }
            Err(stopped) => {
                // Taking back takes the lock.
                drop(session);
                self.take_guest_back(&back, number).await;
                Err(stopped)
            }
        }
    }

    /// What was replaced is taken away. The request has succeeded whatever comes of this; what stays is tried again.
    async fn retire(&self, session: &Session, old: u32, intents: Vec<IntentNumber>) {
        let cleared = match self.faults.pass(&Point::Libxdp(LibxdpAct::Retire)) {
            Ok(()) => session.retire(&[old], &*self.helpers).await,
            Err(failure) => Err(failure),
        };
        let finished = |number: IntentNumber| Change {
            finished: Some(number),
            ..Change::default()
        };
        let committed = cleared.and_then(|()| {
            for number in intents {
                self.store.commit(&finished(number))?;
            }
            Ok(())
        });
        if let Err(failure) = committed {
            tracing::error!(%failure, "the pins of a dispatcher that was replaced could not be taken away");
            self.has_leftovers.store(true, Ordering::Release);
        }
    }

    async fn take_guest_back(&self, back: &Leaving, number: IntentNumber) {
        let left = leaving::finish(&self.store, number, back, &self.faults, &*self.helpers);
        if let Err(failure) = left.await {
            tracing::error!(%failure, "a failed request could not be taken back");
            self.has_leftovers.store(true, Ordering::Release);
        }
    }

    /// Pins a new dispatcher and puts it on the interface; or takes away the one that is there.
    async fn put(
        &self,
        session: &mut Session,
        made: Option<&Made>,
        stage: Stage,
    ) -> Result<XdpMode, Stopped> {
        if let Some(made) = made {
            self.faults.pass(&Point::Libxdp(LibxdpAct::Publish))?;
            session.publish(made, &*self.helpers).await?;
        }
        self.faults.pass(&Point::Libxdp(LibxdpAct::Swap))?;
        session.swap(made).map_err(|error| {
            let is_lost = libxdp::is_lost(&error);
            let failure = libxdp::not_swapped(error, stage);
            if is_lost {
                Stopped::Lost(failure)
            } else {
                Stopped::Failed(failure)
            }
        })
    }

    fn guests_on(&self, key: Option<HookKey>) -> Result<Vec<LinkRecord>, Failure> {
        let mut links = self.store.links()?;
        links.retain(|link| key.is_some() && link.details.guest_hook() == key);
        Ok(links)
    }
}

/// What a request says about the link.
fn details(spec: &AttachSpec, place: &NetworkPlace) -> Result<LinkDetails, Failure> {
    let AttachSpec::XdpGuest {
        interface,
        priority,
        proceed_on,
    } = spec
    else {
        return Err(no_guest(0));
    };
    if place.namespace.file().is_some() {
        let cause = "libxdp knows interfaces by their index alone, so dispatchers in other network namespaces cannot be \
                     told apart";
        let failure = Failure::new(FailureCode::Unsupported, Stage::Attach, cause);
        return Err(
            failure.remedy("leave the network namespace out, or attach without --cooperate")
        );
    }
    Ok(LinkDetails::XdpGuest {
        interface: interface.clone(),
        ifindex: place.ifindex,
        priority: *priority,
        position: 0,
        proceed_on: guests::recorded(verdicts::recorded(HookKind::Xdp, proceed_on)?),
        nsid: place.namespace.id(),
        dispatcher_id: 0,
        mode: XdpMode::Generic,
    })
}

/// The record of a guest in a dispatcher that was made; `false` where it is no member of that.
fn place_in(link: &mut LinkRecord, ifindex: u32, made: &Made) -> bool {
    let Some((place, kernel)) = made.place(link.program_id) else {
        return false;
    };
    link.kernel_link_id = Some(kernel.id);
    set_place(link, ifindex, made.id, place);
    true
}

fn set_place(link: &mut LinkRecord, ifindex: u32, dispatcher: u32, place: usize) {
    link.pin_path = foreign::link_pin(ifindex, dispatcher, place)
        .display()
        .to_string();
    if let LinkDetails::XdpGuest {
        position,
        dispatcher_id,
        ..
    } = &mut link.details
    {
        *position = u32::try_from(place).unwrap_or(u32::MAX);
        *dispatcher_id = dispatcher;
    }
}

fn dispatcher_of(details: &LinkDetails) -> u32 {
    match details {
        LinkDetails::XdpGuest { dispatcher_id, .. } => *dispatcher_id,
        _ => 0,
    }
}

fn no_guest(link_id: u64) -> Failure {
    let cause = format!("link {link_id} is in no dispatcher of libxdp");
    Failure::new(FailureCode::Internal, Stage::Attach, cause)
        .remedy("this is a fault of bpfman, please report it")
}
