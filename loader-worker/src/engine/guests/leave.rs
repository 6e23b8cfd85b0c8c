//! Taking guests off.

use super::{Stopped, no_guest, place_in};
use crate::chains::libxdp::Session;
use crate::engine::Engine;
use crate::faults::{LibxdpAct, Point};
use crate::limits::{LIBXDP_LOCK_WAIT, LIBXDP_SWAPS};
use crate::store::Change;
use crate::store::intents::{Intent, Leaving, Row};
use ipc::messages::attach::{LinkDetails, LinkRecord};
use ipc::messages::failure::{Failure, Stage};
use std::sync::atomic::Ordering;

impl Engine {
    /// Takes a guest off, if xdp-loader has not done so, and forgets it.
    pub(in crate::engine) async fn detach_guest(&self, link: &LinkRecord) -> Result<(), Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.leave_dispatcher(link).await {
                Err(Stopped::Lost(_)) if attempt < LIBXDP_SWAPS => {}
                Err(Stopped::Lost(failure) | Stopped::Failed(failure)) => return Err(failure),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// One attempt.
    async fn leave_dispatcher(&self, link: &LinkRecord) -> Result<(), Stopped> {
        let LinkDetails::XdpGuest {
            ifindex,
            dispatcher_id,
            ..
        } = link.details
        else {
            return Err(no_guest(link.id).into());
        };
        let mut session =
            Session::open_whatever_is_there(ifindex, LIBXDP_LOCK_WAIT, &*self.helpers).await?;
        let is_there = session.has(link.program_id);
        let made = if is_there {
            session.make_without(link.program_id)?
        } else {
            None
        };
        let mut dispatchers = vec![dispatcher_id];
        if is_there {
            dispatchers.extend(session.on_hook());
        }
        dispatchers.extend(made.as_ref().map(|made| made.id));

        let mut links = self.guests_on(link.details.guest_hook())?;

        self.faults.pass(&Point::Begin)?;
        let intent = Intent::Leave(Leaving {
            ifindex,
            program_id: link.program_id,
            link: Some(link.id),
            dispatchers: dispatchers.clone(),
        });
        let number = self.store.begin(&intent).map_err(Failure::from)?;
        let put = if is_there {
            self.put(&mut session, made.as_ref(), Stage::Detach)
                .await
                .map(drop)
        } else {
            Ok(())
        };
        let retired = match self.faults.pass(&Point::Libxdp(LibxdpAct::Retire)) {
            Ok(()) => session.retire(&dispatchers, &*self.helpers).await,
            Err(failure) => Err(failure),
        };
        links.retain_mut(|link| {
            let made = made.as_ref().filter(|_| put.is_ok());
            made.is_some_and(|made| place_in(link, ifindex, made))
        });
        let change = Change {
            links,
            gone: put
                .is_ok()
                .then_some(Row::Link(link.id))
                .into_iter()
                .collect(),
            finished: Some(number),
            ..Change::default()
        };
        let committed = retired
            .and_then(|()| self.faults.pass(&Point::Commit))
            .and_then(|()| Ok(self.store.commit(&change)?));
        if committed.is_err() {
            self.has_leftovers.store(true, Ordering::Release);
        }
        put?;
        committed?;
        self.faults.pass(&Point::Answer)?;
        Ok(())
    }

    /// Guests of a program, taken off one by one.
    pub(in crate::engine) async fn detach_guests(
        &self,
        links: &[LinkRecord],
    ) -> Result<(), Failure> {
        for link in links
            .iter()
            .filter(|link| link.details.guest_hook().is_some())
        {
            self.detach_guest(link).await?;
        }
        Ok(())
    }
}
