//! Finishes what was begun at a dispatcher of libxdp's.
//!
//! Whatever became of the change, and whatever xdp-loader made of it meanwhile: in the end no dispatcher on the interface has
//! the guest, and none that is not there has pins. To make one without the guest is a change like the one that was cut off,
//! so it is written down in its place before anything of it is pinned.

use crate::chains::libxdp::{self, Session};
use crate::faults::{Faults, LibxdpAct, Point};
use crate::helpers::Helpers;
use crate::limits::{LIBXDP_LOCK_WAIT, LIBXDP_SWAPS};
use crate::store::intents::{Intent, IntentNumber, Leaving};
use crate::store::{Change, Store};
use ipc::messages::failure::{Failure, Stage};

/// Finishes it, and the intent with this number.
pub async fn finish(
    store: &Store,
    number: IntentNumber,
    leaving: &Leaving,
    faults: &Faults,
    helpers: &dyn Helpers,
) -> Result<(), Failure> {
    let (mut number, mut leaving) = (number, leaving.clone());
    let mut lost = 0;
    loop {
        let ifindex = leaving.ifindex;
        let mut session =
            Session::open_whatever_is_there(ifindex, LIBXDP_LOCK_WAIT, helpers).await?;
        faults.pass(&Point::Libxdp(LibxdpAct::Retire))?;
        session.retire(&leaving.dispatchers, helpers).await?;
        if !session.has(leaving.program_id) {
            faults.pass(&Point::Commit)?;
            store.commit(&Change {
                gone: Intent::Leave(leaving).gone(),
                finished: Some(number),
                ..Change::default()
            })?;
            return Ok(());
        }

        let made = session.make_without(leaving.program_id)?;
        let made_id = made.as_ref().map(|made| made.id);
        leaving.dispatchers = session.on_hook().into_iter().chain(made_id).collect();
        number = instead(store, number, &leaving)?;
        if let Some(made) = &made {
            faults.pass(&Point::Libxdp(LibxdpAct::Publish))?;
            session.publish(made, helpers).await?;
        }
        faults.pass(&Point::Libxdp(LibxdpAct::Swap))?;
        match session.swap(made.as_ref()) {
            Err(error) if libxdp::is_lost(&error) && lost < LIBXDP_SWAPS => lost += 1,
            Err(error) => {
                session.retire(&leaving.dispatchers, helpers).await?;
                return Err(libxdp::not_swapped(error, Stage::Detach));
            }
            Ok(_) => {}
        }
    }
}

/// Writes down what is to be done in the place of what was.
fn instead(
    store: &Store,
    number: IntentNumber,
    leaving: &Leaving,
) -> Result<IntentNumber, Failure> {
    let numbers = store.commit(&Change {
        finished: Some(number),
        followed_by: vec![Intent::Leave(leaving.clone())],
        ..Change::default()
    })?;
    Ok(numbers.first().copied().unwrap_or(number))
}
