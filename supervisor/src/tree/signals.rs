//! SIGTERM and SIGINT: the first one asks for an ordered stop, the second one for an immediate one. SIGHUP asks for a look
//! at the configuration file; of a terminal that is closed it asks to stop.

use super::Message;
use super::events::Event;
use ractor::ActorRef;
use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// Listens for as long as the runtime lives.
pub(super) fn watch(tree: ActorRef<Message>, at_terminal: bool) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hangup.recv() => "SIGHUP",
            };
            if name == "SIGHUP" && !at_terminal {
                tracing::info!("SIGHUP: reading the configuration again");
                // Fails only when the tree has ended already.
                let _ = tree.cast(Message::Reload);
                continue;
            }
            if asked {
                tracing::warn!("{name} again: ending at once");
                // The spawner notices and kills the workers; programs keep running in the kernel.
                std::process::exit(1);
            }
            asked = true;
            tracing::info!("{name}: stopping; loaded programs keep running");
            // Fails only when the tree has ended already.
            let _ = tree.cast(Message::Event(Event::Stop));
        }
    });
    Ok(())
}
