//! Noticing what xdp-loader did with guests.

use super::{dispatcher_of, set_place};
use crate::chains::libxdp::{self, Session};
use crate::engine::Engine;
use crate::engine::claims::{Key, Need};
use crate::limits::LIBXDP_LOOK_WAIT;
use crate::store::Change;
use ipc::messages::attach::LinkDetails;
use ipc::messages::chain::HookKey;
use ipc::messages::failure::Failure;
use std::collections::BTreeSet;

impl Engine {
    /// Brings the records of guests up to date with what is on their interfaces. What cannot be looked at stays as it is.
    pub async fn look_at_guests(&self) {
        let changed = match self.changed_hooks() {
            Ok(changed) => changed,
            Err(failure) => {
                return tracing::warn!(%failure, "guests of libxdp's cannot be looked at");
            }
        };
        for key in changed {
            if let Err(failure) = self.look_at(key).await {
                tracing::warn!(%failure, "a dispatcher of libxdp cannot be looked at");
            }
        }
    }

    /// Where another dispatcher is than the guests' records say. Who is gone does not come back.
    fn changed_hooks(&self) -> Result<BTreeSet<HookKey>, Failure> {
        let mut changed = BTreeSet::new();
        for link in self.store.links()? {
            let Some(key) = link.details.guest_hook() else {
                continue;
            };
            let known = dispatcher_of(&link.details);
            if known != 0 && libxdp::look(key.ifindex)?.map(|(id, _)| id) != Some(known) {
                changed.insert(key);
            }
        }
        Ok(changed)
    }

    async fn look_at(&self, key: HookKey) -> Result<(), Failure> {
        let _claim = self
            .claim(|| Ok(vec![Need::alone(Key::Chain(key))]))
            .await?;
        let session =
            Session::open_whatever_is_there(key.ifindex, LIBXDP_LOOK_WAIT, &*self.helpers).await?;
        let members = session.dispatcher().map_or(&[][..], |found| &found.members);
        let mut changed = Change::default();
        for mut link in self.store.links()? {
            let is_here = link.details.guest_hook() == Some(key);
            if !is_here || dispatcher_of(&link.details) == 0 {
                continue;
            }
            let found = members
                .iter()
                .position(|member| member.program_id == link.program_id);
            match found.zip(session.on_hook()) {
                Some((place, dispatcher)) => {
                    let id = members[place].link_id;
                    link.kernel_link_id = (id != 0).then_some(id);
                    set_place(&mut link, key.ifindex, dispatcher, place);
                }
                None => {
                    link.kernel_link_id = None;
                    if let LinkDetails::XdpGuest { dispatcher_id, .. } = &mut link.details {
                        *dispatcher_id = 0;
                    }
                }
            }
            changed.links.push(link);
        }
        if !changed.links.is_empty() {
            self.store.commit(&changed)?;
        }
        Ok(())
    }
}
