//! Values of arguments: text to typed, with an error that says what was expected.

mod attach;
mod duration;
mod global;
mod id;
mod labels;
mod program;
mod selector;

pub(crate) use attach::{
    TC_ACTIONS, XDP_ACTIONS, direction, dispatcher_type, netfilter_family, netfilter_hook,
    netkit_hook, offset, strategy, tc_action, tracepoint, usdt, xdp_action,
};
pub(crate) use duration::duration;
pub(crate) use global::{GlobalArgument, global};
pub(crate) use id::{link_id, program_id};
pub(crate) use labels::key_value;
pub(crate) use program::{link_kind, mode, program_kind, program_spec};
pub(crate) use selector::{LabelSelector, label_selector};

use std::path::PathBuf;

/// A path that means the same wherever the command is started.
pub(crate) fn absolute_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(format!("\"{text}\" is not an absolute path"))
    }
}

/// `; did you mean "x"?` for the name that comes closest, or nothing when none is close: one slip in three letters.
fn suggestion<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(text, name), name))
        .filter(|(slips, name)| slips * 3 <= name.len())
        .min_by_key(|(slips, _)| *slips)
        .map_or_else(String::new, |(_, name)| {
            format!("; did you mean \"{name}\"?")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute() {
        assert_eq!(absolute_path("/run/x"), Ok(PathBuf::from("/run/x")));
        assert_eq!(
            absolute_path("run"),
            Err("\"run\" is not an absolute path".to_owned())
        );
        assert!(absolute_path("").is_err());
    }

    #[test]
    fn only_close_names_are_suggested() {
        assert_eq!(suggestion("xpd", ["xdp", "tc"]), "; did you mean \"xdp\"?");
        assert_eq!(suggestion("zzzz", ["xdp", "tc"]), "");
    }
}
