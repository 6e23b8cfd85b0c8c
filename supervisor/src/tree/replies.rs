//! What the tree hears: replies of the spawner, messages of workers.

use super::connection::{Connection, Outgoing};
use super::events::Event;
use super::helpers::{HelperAction, Request};
use super::relay::{self, Source};
use super::{Message, State, status};
use crate::spawner::protocol::Reply;
use crate::spawner::table::Entry;
use ipc::link::Envelope;
use ipc::messages::supervision::{Control, ProcessState, ProcessStatus, Status};
use ipc::role::Role;
use ractor::ActorRef;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

impl State {
    pub(super) fn spawner_replied(&mut self, reply: Reply, myself: &ActorRef<Message>) {
        match reply {
            Reply::Started {
                entry,
                generation,
                pid,
            } => self.started(entry, generation, pid, myself),
            Reply::Failed { entry, errno, .. } => {
                self.pending.remove(&entry);
                let reason = format!("cannot be started: {}", io::Error::from_raw_os_error(errno));
                match entry.worker() {
                    Some(role) => self.process(Event::StartFailed { role, reason }, myself),
                    None => {
                        let actions = self.helpers.failed(entry, reason);
                        self.help(actions, myself);
                    }
                }
            }
            Reply::Exited {
                entry,
                generation,
                exit,
                ..
            } => match entry.worker() {
                Some(role) => {
                    let words = self.words.get(&role);
                    let words = words.map(|words| words.borrow().clone());
                    self.process(
                        Event::Exited {
                            role,
                            generation,
                            exit,
                            words: words.unwrap_or_default(),
                        },
                        myself,
                    );
                }
                None => {
                    tracing::debug!("{} (generation {generation}) {exit}", entry.name());
                    let actions = self.helpers.exited(entry, generation);
                    self.help(actions, myself);
                }
            },
        }
    }

    fn started(&mut self, entry: Entry, generation: u32, pid: u32, myself: &ActorRef<Message>) {
        let Some((control, log)) = self.pending.remove(&entry) else {
            tracing::error!(
                "the spawner has started a {} that nobody asked for",
                entry.name()
            );
            return self.kill(entry, myself);
        };
        let words = relay::spawn(
            log,
            Source {
                name: entry.name(),
                pid,
            },
            self.format,
        );
        match entry.worker() {
            Some(role) => {
                self.words.insert(role, words);
                self.connections.insert(
                    role,
                    Connection::open(control, role, generation, myself.clone()),
                );
                self.process(
                    Event::Started {
                        role,
                        generation,
                        pid,
                    },
                    myself,
                );
            }
            // What is its control socket for a worker is a helper's link to the loader. Dropped when nobody wants it:
            // then the helper ends.
            None => {
                if let Some(request) = self.helpers.started(entry, generation, Instant::now()) {
                    self.answer(request, Control::HelperStarted, vec![control], myself);
                }
            }
        }
    }

    pub(super) fn help(&mut self, actions: Vec<HelperAction>, myself: &ActorRef<Message>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                HelperAction::Start(entry) => {
                    if let Err(error) = self.start(entry) {
                        actions.extend(
                            self.helpers
                                .failed(entry, format!("cannot be started: {error}")),
                        );
                    }
                }
                HelperAction::Refuse(request, reason) => {
                    tracing::warn!("a helper is refused: {reason}");
                    self.answer(request, Control::HelperRefused { reason }, vec![], myself);
                }
                HelperAction::Kill(entry) => {
                    tracing::warn!("{} does not finish in time", entry.name());
                    self.kill(entry, myself);
                }
            }
        }
    }

    /// Answers the loader's request, unless that loader is gone.
    fn answer(
        &mut self,
        request: Request,
        message: Control,
        descriptors: Vec<OwnedFd>,
        myself: &ActorRef<Message>,
    ) {
        if self
            .connections
            .get(&Role::Loader)
            .is_some_and(|connection| connection.generation == request.generation)
        {
            let outgoing = Outgoing {
                request_id: request.request_id,
                message,
                descriptors,
            };
            if let Some(event) = self.send(Role::Loader, outgoing) {
                self.process(event, myself);
            }
        }
    }

    pub(super) fn worker_sent(
        &mut self,
        role: Role,
        generation: u32,
        envelope: Envelope<Status>,
        myself: &ActorRef<Message>,
    ) {
        let request_id = envelope.request_id;
        let event = match (role, envelope.message) {
            (_, Status::Ready(report)) => Event::Ready {
                role,
                generation,
                report,
            },
            (_, Status::Serving) => Event::Serving { role, generation },
            (
                _,
                Status::PeerFault {
                    peer,
                    generation,
                    fault,
                },
            ) if peer != role => Event::PeerFault {
                reporter: role,
                peer,
                generation,
                fault,
            },
            // Its exit, which follows, is what counts.
            (_, Status::Drained) => return,
            (Role::Loader, Status::StartHelper { kind }) => {
                let actions = self.helpers.asked(
                    kind,
                    Request {
                        request_id,
                        generation,
                    },
                );
                return self.help(actions, myself);
            }
            (Role::Api, Status::QueryStatus) => {
                let outgoing = Outgoing {
                    request_id,
                    message: Control::StatusReport(self.rows()),
                    descriptors: vec![],
                };
                match self.send(role, outgoing) {
                    Some(event) => event,
                    None => return,
                }
            }
            (_, message) => {
                let reason = format!("sent what a {role} may not send: {message:?}");
                Event::LinkLost {
                    role,
                    generation,
                    reason: Some(reason),
                }
            }
        };
        self.process(event, myself);
    }

    fn rows(&self) -> Vec<ProcessStatus> {
        let own = if self.machine.is_stopping() {
            ProcessState::Stopping
        } else {
            ProcessState::Serving
        };
        let mut rows = vec![
            status::own_row("spawner", self.spawner_pid, own, 0, ""),
            status::own_row(
                "supervisor",
                std::process::id(),
                own,
                self.report.landlock_enforced,
                "",
            ),
        ];
        rows.extend(
            Role::WORKERS
                .into_iter()
                .filter_map(|role| status::worker_row(&self.machine, role)),
        );
        rows
    }
}
