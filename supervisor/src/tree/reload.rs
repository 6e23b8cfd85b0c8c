//! SIGHUP: the configuration file is read again. What can change changes, the rest is named; a file that is wrong changes
//! nothing.

use super::connection::Outgoing;
use super::{Message, State};
use crate::prepare::log;
use configuration::{Config, Loaded};
use ipc::messages::supervision::Control;
use ipc::role::Role;
use ractor::ActorRef;
use std::path::PathBuf;

/// What is in effect, and where it comes from.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The file that was named, absolute.
    pub file: Option<PathBuf>,
    /// What it said when it was read last.
    pub config: Config,
    /// Whether `--log` stands for what the file says.
    pub log_given: bool,
    /// What is logged.
    pub log: String,
}

/// What follows from a file that was read anew.
#[derive(Debug, Eq, PartialEq)]
struct Change {
    /// What is to be logged from now on, if it is something else.
    log: Option<String>,
    /// What changes at the next start only, or not at all.
    left: Vec<&'static str>,
}

impl Configured {
    fn compare(&self, new: &Config) -> Result<Change, log::SpecError> {
        let old = &self.config;
        let log = log::normalize(&new.logging.specification())?;
        let mut left = Vec::new();
        if new.logging.format != old.logging.format {
            left.push("logging.format: in effect from the next start on");
        }
        if new.signing != old.signing {
            left.push("signing: in effect from the next start on");
        }
        if new.registries != old.registries {
            left.push("registries: in effect from the next start on");
        }
        if new.csi != old.csi {
            left.push("csi: in effect from the next start on");
        }
        let log_differs = log != self.log;
        if log_differs && self.log_given {
            left.push("logging.level: --log or BPFMAN_LOG was given, which is stronger");
        }
        Ok(Change {
            log: (log_differs && !self.log_given).then_some(log),
            left,
        })
    }
}

impl State {
    pub(super) fn reload(&mut self, myself: &ActorRef<Message>) {
        let Some(loaded) = read(&self.configured) else {
            return;
        };
        for sentence in loaded.without_effect() {
            tracing::warn!("configuration: {sentence}");
        }
        let Change { log, left } = match self.configured.compare(&loaded.config) {
            Ok(change) => change,
            Err(error) => return tracing::error!("configuration: {error}; nothing has changed"),
        };
        for sentence in left {
            tracing::warn!("configuration: {sentence}");
        }
        // Signatures and format stay those of the start, so that the next reload names them again.
        self.configured.config.logging.level = loaded.config.logging.level;
        self.configured.config.logging.components = loaded.config.logging.components;
        if let Some(specification) = log {
            if let Err(error) = log::change(&specification) {
                return tracing::error!("configuration: {error}; nothing has changed");
            }
            self.configured.log = specification;
            self.log_changed = true;
            for role in Role::WORKERS {
                if let Some(event) = self.tell_log(role) {
                    self.process(event, myself);
                }
            }
        }
        tracing::info!("configuration: read again; logging {}", self.configured.log);
    }

    /// Tells a worker what to log, if that is not what its command line says.
    pub(super) fn tell_log(&mut self, role: Role) -> Option<super::Event> {
        if !self.log_changed {
            return None;
        }
        let specification = self.configured.log.clone();
        self.send(
            role,
            Outgoing::new(Control::SetLog { specification }, vec![]),
        )
    }
}

fn read(configured: &Configured) -> Option<Loaded> {
    configuration::read(configured.file.as_deref())
        .inspect_err(|error| {
            tracing::error!(
                "configuration: {error}; nothing has changed. The supervisor reads it as its own user, from the \
                 directory where it was at the start"
            );
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use configuration::Format;

    fn configured() -> Configured {
        Configured {
            file: None,
            config: Config::default(),
            log_given: false,
            log: "info".to_owned(),
        }
    }

    fn change(configured: &Configured, change: impl FnOnce(&mut Config)) -> Change {
        let mut config = configured.config.clone();
        change(&mut config);
        configured.compare(&config).unwrap()
    }

    #[test]
    fn levels_change_and_the_rest_is_named() {
        let nothing = Change {
            log: None,
            left: vec![],
        };
        assert_eq!(change(&configured(), |_| {}), nothing);
        let level = |config: &mut Config| config.logging.level = "debug,image=warning".to_owned();
        assert_eq!(
            change(&configured(), level).log.as_deref(),
            Some("debug,image=warn")
        );
        let rest = change(&configured(), |config| {
            config.logging.format = Format::Json;
            config.signing.settings.allow_unsigned = true;
        });
        assert_eq!(rest.log, None);
        assert_eq!(rest.left.len(), 2, "{rest:?}");
        // Back again, although the file at the start said something else.
        let mut changed = configured();
        changed.log = "debug".to_owned();
        assert_eq!(change(&changed, |_| {}).log.as_deref(), Some("info"));
    }

    #[test]
    fn the_flag_is_stronger() {
        let given = Configured {
            log_given: true,
            ..configured()
        };
        let change = change(&given, |config| config.logging.level = "trace".to_owned());
        assert_eq!(change.log, None);
        assert!(change.left[0].contains("--log"), "{change:?}");
    }
}
