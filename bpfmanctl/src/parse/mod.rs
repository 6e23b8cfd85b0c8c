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
    netkit_hook, offset, pull_policy, strategy, tc_action, tracepoint, usdt, xdp_action,
};
pub(crate) use duration::duration;
pub(crate) use global::{GlobalArgument, global};
pub(crate) use id::{link_id, program_id};
pub(crate) use labels::key_value;
pub(crate) use program::{link_kind, mode, program_spec, program_type};
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

/// The name that comes closest, if one is close: one slip in three letters, also of a word that is only its beginning.
/// Case is no slip.
pub(crate) fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.trim().to_lowercase();
    let length = text.chars().count();
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(&text, &name.to_lowercase()), name))
        .filter(|(slips, name)| {
            let beginning: String = name.to_lowercase().chars().take(length).collect();
            let begins = length > 1 && strsim::osa_distance(&text, &beginning) * 3 <= length;
            begins || slips * 3 <= name.len()
        })
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// The one of several values that a word names, in any case, or what the others are called.
fn named<T: Copy, const N: usize>(
    what: &str,
    text: &str,
    values: [T; N],
    name: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    let wanted = text.trim();
    let found = values
        .into_iter()
        .find(|value| name(*value).eq_ignore_ascii_case(wanted));
    found.ok_or_else(|| {
        let names = values.map(&name);
        format!(
            "unknown {what} \"{text}\"{}; known are {}",
            suggestion(wanted, names),
            names.join(", ")
        )
    })
}

/// `; did you mean "x"?` for the name that comes closest, or nothing when none is close.
fn suggestion<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(text, names).map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"))
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
        assert_eq!(nearest("XPD", ["tc", "xdp"]), Some("xdp"));
        assert_eq!(
            nearest("meta", ["metadata-selector"]),
            Some("metadata-selector")
        );
        assert_eq!(nearest("container-pid", ["runtime-dir"]), None);
        assert_eq!(nearest("x", ["xdp"]), None);
        assert_eq!(nearest("", ["xdp"]), None);
    }
}
