//! "Did you mean": names near one that does not exist.

use super::limits::SUGGESTIONS;

/// How alike two names must be, 1 meaning equal. Below this the suggestions are noise.
const ALIKE: f64 = 0.6;

/// The candidates most like `wanted`, best first, at most [`SUGGESTIONS`]. Of names with a group (`group/name`) the part
/// after the slash alone may be what is alike.
pub fn near(wanted: &str, candidates: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut scored: Vec<(f64, String)> = candidates
        .into_iter()
        .map(|candidate| (likeness(wanted, &candidate), candidate))
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    scored.sort_by(|(a, a_name), (b, b_name)| b.total_cmp(a).then_with(|| a_name.cmp(b_name)));
    scored.truncate(SUGGESTIONS);
    scored.into_iter().map(|(_, name)| name).collect()
}

/// `did you mean: a, b?`, or where to look when no name is near.
pub fn remedy(names: &[String], otherwise: &str) -> String {
    match names {
        [] => otherwise.to_owned(),
        names => question(names),
    }
}

/// `did you mean: a, b?`, or nothing.
pub fn question(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!("did you mean: {}?", names.join(", "))
    }
}

fn likeness(wanted: &str, candidate: &str) -> f64 {
    let begun = if begins(candidate, wanted) {
        ALIKE
    } else {
        0.0
    };
    let whole = normalized(wanted, candidate).max(begun);
    match (wanted.split_once('/'), candidate.split_once('/')) {
        // A little less than the whole, so that the right group wins among equal names.
        (Some((_, wanted)), Some((_, candidate))) => {
            whole.max(0.95 * normalized(wanted, candidate))
        }
        _ => whole,
    }
}

/// Whether a name begins so, in any case. Of names as short as those of interfaces one letter is half of them.
fn begins(name: &str, beginning: &str) -> bool {
    let start = name.get(..beginning.len());
    !beginning.is_empty() && start.is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

/// 0 at once for names too different to be shown: the kernel has some 60,000 functions, and the exact answer costs tens of
/// microseconds each.
fn normalized(wanted: &str, candidate: &str) -> f64 {
    let longer = wanted.len().max(candidate.len());
    if in_common(wanted, candidate) as f64 / longer.max(1) as f64 >= ALIKE {
        strsim::normalized_damerau_levenshtein(wanted, candidate)
    } else {
        0.0
    }
}

/// Bytes that both have, wherever they stand. Every edit but the swap of neighbours adds at most one, so that the names
/// are at most `in_common / longer` alike.
fn in_common(wanted: &str, candidate: &str) -> usize {
    let mut left = [0_usize; 256];
    for byte in wanted.bytes() {
        left[usize::from(byte)] += 1;
    }
    let mut common = 0;
    for byte in candidate.bytes() {
        let left = &mut left[usize::from(byte)];
        if *left > 0 {
            *left -= 1;
            common += 1;
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(wanted: &str, candidates: &[&str]) -> Vec<String> {
        near(wanted, candidates.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn the_best_come_first_and_strangers_not_at_all() {
        let found = of(
            "sched/sched_swich",
            &[
                "sched/sched_switch",
                "sched/sched_wakeup",
                "xfs/xfs_attr_list",
            ],
        );
        assert_eq!(found[0], "sched/sched_switch");
        assert!(!found.contains(&"xfs/xfs_attr_list".to_owned()));
    }

    #[test]
    fn a_right_name_in_a_wrong_group_is_found() {
        assert_eq!(
            of("foo/sys_enter_openat", &["syscalls/sys_enter_openat"]),
            ["syscalls/sys_enter_openat"]
        );
    }

    #[test]
    fn short_names_are_found_by_their_beginning_and_in_any_case() {
        assert_eq!(of("v", &["lo", "v0", "eth0"]), ["v0"]);
        assert_eq!(of("V0", &["lo", "v0"]), ["v0"]);
        assert_eq!(of("eth", &["veth0", "eth0"]), ["eth0", "veth0"]);
        assert_eq!(of("", &["lo", "v0"]), [""; 0]);
    }

    #[test]
    fn without_a_name_there_is_another_remedy() {
        assert_eq!(remedy(&[], "see `ls`"), "see `ls`");
        assert_eq!(remedy(&["a".into()], "see `ls`"), "did you mean: a?");
    }

    #[test]
    fn no_more_than_the_bound() {
        let candidates: Vec<String> = (0..=SUGGESTIONS).map(|n| format!("veth{n}")).collect();
        assert_eq!(near("veth", candidates).len(), SUGGESTIONS);
    }

    #[test]
    fn nothing_is_asked_without_names() {
        assert_eq!(question(&[]), "");
        assert_eq!(question(&["a".into(), "b".into()]), "did you mean: a, b?");
    }
    #[test]
    fn the_shortcut_hides_nothing_that_would_be_shown() {
        let names = [
            "do_unlinkat",
            "do_unlinkatt",
            "do_nulinkat",
            "vfs_unlink",
            "unlinkat_do",
            "do_rmdir",
            "a",
            "",
        ];
        for (wanted, candidate) in names.iter().flat_map(|a| names.map(|b| (*a, b))) {
            let exact = strsim::normalized_damerau_levenshtein(wanted, candidate);
            let shown = normalized(wanted, candidate);
            assert!(
                shown == exact || exact < ALIKE || wanted.is_empty(),
                "{wanted} {candidate}: {exact}"
            );
        }
    }
}
