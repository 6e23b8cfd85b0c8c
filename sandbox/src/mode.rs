//! Enforcing, or learning a policy.

use std::str::FromStr;

/// Whether violations end the process or are only logged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// A system call outside the policy ends the process.
    #[default]
    Enforce,
    /// A system call outside the policy is done, and logged by the kernel: for learning a policy. All else is as in
    /// `Enforce`: identity, capabilities, limits and Landlock, none of which the kernel can only log.
    Log,
}

impl Mode {
    /// The name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Log => "log",
        }
    }
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(name: &str) -> Result<Self, ModeError> {
        match name {
            "enforce" => Ok(Mode::Enforce),
            "log" => Ok(Mode::Log),
            other => Err(ModeError::Unknown(other.chars().take(32).collect())),
        }
    }
}

/// Why a mode is refused.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ModeError {
    /// No such mode.
    #[error("unknown sandbox mode `{0}`; use enforce or log")]
    Unknown(String),
    /// Learning is for a person who watches, not for a service.
    #[error(
        "--sandbox=log weakens every process and is refused when not started from a terminal; use --sandbox=enforce"
    )]
    NotInteractive,
}

/// The mode in which the service runs. `Log` is for a person at a terminal alone: a unit file or a script that asks for it
/// by mistake gets an error instead of an open service.
pub fn choose(requested: Mode, stdin_is_terminal: bool) -> Result<Mode, ModeError> {
    match requested {
        Mode::Log if !stdin_is_terminal => Err(ModeError::NotInteractive),
        mode => Ok(mode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learning_needs_a_terminal() {
        assert_eq!(choose(Mode::Log, false), Err(ModeError::NotInteractive));
        assert_eq!(choose(Mode::Log, true), Ok(Mode::Log));
    }

    #[test]
    fn enforcing_needs_nothing() {
        assert_eq!(choose(Mode::Enforce, false), Ok(Mode::Enforce));
        assert_eq!(choose(Mode::Enforce, true), Ok(Mode::Enforce));
    }

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for mode in [Mode::Enforce, Mode::Log] {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        for name in ["", "off", "Log", "enforce "] {
            assert!(name.parse::<Mode>().is_err(), "{name:?}");
        }
    }
}
