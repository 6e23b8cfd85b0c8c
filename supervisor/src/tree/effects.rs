//! What the tree does: carries out what [`super::machine`] and [`super::helpers`] decide, and tells them what came of it.

use super::connection::Outgoing;
use super::events::{Action, Event};
use super::{Message, State};
use crate::limits::SPAWNER_END_DEADLINE;
use crate::spawner::protocol::Command;
use crate::spawner::table::Entry;
use ipc::messages::supervision::Control;
use ipc::role::Role;
use ractor::ActorRef;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

impl State {
    /// Lets the machine decide, does what it says, and tells it what came of that.
    pub(super) fn process(&mut self, event: Event, myself: &ActorRef<Message>) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            match &event {
                Event::LinkLost {
                    role, generation, ..
                }
                | Event::Exited {
                    role, generation, ..
                } => {
                    self.disconnected(*role, *generation);
                }
                Event::Tick => {
                    let actions = self.helpers.tick(Instant::now());
                    self.help(actions, myself);
                }
                _ => {}
            }
            for action in self.machine.on(event, Instant::now()) {
                events.extend(self.perform(action, myself));
            }
        }
    }

    /// Drops the link to a process that is gone, so that nothing is sent to it any more.
    fn disconnected(&mut self, role: Role, generation: u32) {
        if self
            .connections
            .get(&role)
            .is_some_and(|connection| connection.generation == generation)
        {
            self.connections.remove(&role);
            if role == Role::Loader {
                self.helpers.loader_gone(generation);
            }
        }
    }

    fn perform(&mut self, action: Action, myself: &ActorRef<Message>) -> Option<Event> {
        match action {
            Action::Start(role) => {
                let error = self.start(Entry::of_worker(role)?).err()?;
                return Some(Event::StartFailed {
                    role,
                    reason: format!("cannot be started: {error}"),
                });
            }
            Action::Kill(role) => self.kill(Entry::of_worker(role)?, myself),
            Action::Activate(role) => return self.activate(role),
            Action::Connect(pair) => return self.connect(pair),
            Action::Disconnect {
                to,
                peer,
                generation,
            } => {
                return self.send(
                    to,
                    Outgoing::new(Control::PeerDown { peer, generation }, vec![]),
                );
            }
            Action::Drain(role) => return self.send(role, Outgoing::new(Control::Stop, vec![])),
            Action::AnnounceReady => {
                tracing::info!("serving");
                self.notify.ready();
            }
            Action::AnnounceStopping => self.notify.stopping(),
            Action::Finish => {
                self.finishing = true;
                self.spawner.finish();
                myself.send_after(SPAWNER_END_DEADLINE, || Message::SpawnerOverdue);
            }
            Action::Abandon => myself.stop(None),
        }
        None
    }

    /// Tells a worker to begin, with what it begins with.
    fn activate(&mut self, role: Role) -> Option<Event> {
        let beside = match role {
            Role::Api => self.listeners.all(),
            Role::Image => vec![&self.image_settings],
            _ => vec![],
        };
        let copies: io::Result<Vec<OwnedFd>> = beside.into_iter().map(OwnedFd::try_clone).collect();
        match copies {
            Ok(copies) => {
                let outgoing = Outgoing::new(Control::Activate, copies);
                self.send(role, outgoing).or_else(|| self.tell_log(role))
            }
            Err(error) => self.lost(role, format!("cannot be given what it needs: {error}")),
        }
    }

    /// Has the spawner start a row; its reply is awaited as a message.
    pub(super) fn start(&mut self, entry: Entry) -> io::Result<()> {
        let (ours, its) = stream_pair()?;
        let (log, its_log) = pipe_with(PipeFlags::CLOEXEC)?;
        self.spawner
            .command(Command::Start(entry), &[its.as_fd(), its_log.as_fd()])?;
        self.pending.insert(entry, (ours, log));
        Ok(())
    }

    pub(super) fn kill(&mut self, entry: Entry, myself: &ActorRef<Message>) {
        if let Err(error) = self.spawner.command(Command::End(entry), &[]) {
            tracing::error!("{} cannot be killed: {error}", entry.name());
            myself.stop(None);
        }
    }

    pub(super) fn send(&mut self, role: Role, outgoing: Outgoing) -> Option<Event> {
        if self.connections.get(&role)?.send(outgoing) {
            return None;
        }
        self.lost(role, "does not read what the supervisor sends".to_owned())
    }

    fn lost(&self, role: Role, reason: String) -> Option<Event> {
        let generation = self.connections.get(&role)?.generation;
        Some(Event::LinkLost {
            role,
            generation,
            reason: Some(reason),
        })
    }

    /// Makes a link between two workers and gives each its end.
    fn connect(
        &mut self,
        [(one, one_generation), (other, other_generation)]: [(Role, u32); 2],
    ) -> Option<Event> {
        let (one_end, other_end) = match stream_pair() {
            Ok(pair) => pair,
            Err(error) => return self.lost(one, format!("cannot be linked with {other}: {error}")),
        };
        let up =
            |peer, generation, end| Outgoing::new(Control::PeerUp { peer, generation }, vec![end]);
        let lost = self.send(one, up(other, other_generation, one_end));
        self.send(other, up(one, one_generation, other_end))
            .or(lost)
    }

    /// Sets the timer to the next moment at which something is due.
    pub(super) fn arm(&mut self, myself: &ActorRef<Message>) {
        let due = self
            .machine
            .deadline()
            .into_iter()
            .chain(self.helpers.deadline())
            .min();
        if self.timer.as_ref().map(|(at, _)| *at) == due {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            timer.abort();
        }
        if let Some(at) = due {
            let tree = myself.clone();
            let timer = tokio::spawn(async move {
                tokio::time::sleep_until(at.into()).await;
                // Fails only when the tree has ended.
                let _ = tree.cast(Message::Event(Event::Tick));
            });
            self.timer = Some((at, timer));
        }
    }
}

fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?)
}
