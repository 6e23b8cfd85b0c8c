//! The grammar of bpfman 0.6, in which scripts are written: `load file -p`, `attach ID xdp -i`, `list programs`. Its words
//! are put into those of today's grammar before they are parsed, so that values, help and errors are today's.
//!
//! Flags that 0.6 did not have are taken as they are, and so is everything that is no command line of 0.6.

use crate::default_command::{is_flag, takes_next};
use clap::Command;
use std::ffi::{OsStr, OsString};

/// What has become of a flag of 0.6.
#[derive(Clone, Copy)]
enum Becomes {
    /// The operand of this number.
    Operand(usize),
    /// A flag of this name.
    Flag(&'static str),
    /// A flag of this name, once for each of the values that follow.
    Flags(&'static str),
    /// `--program-type`, whose values were the kernel's.
    ProgramType,
}

/// A flag of 0.6: letter (of flags that only changed how often they take values there may be none), name, what it became.
type Flag = (Option<char>, &'static str, Becomes);

/// A command of 0.6.
struct Older {
    /// The words of today's command.
    words: Vec<OsString>,
    flags: &'static [Flag],
    /// Operands that were operands in 0.6.
    operands: Vec<OsString>,
}

use Becomes::{Flag as Name, Flags as Names, Operand, ProgramType};

const LOAD_FILE: &[Flag] = &[
    (Some('p'), "path", Operand(0)),
    (None, "programs", Names("--programs")),
    (Some('g'), "global", Names("--global")),
];
const LOAD_IMAGE: &[Flag] = &[
    (Some('i'), "image-url", Operand(0)),
    (Some('r'), "registry-auth", Name("--registry-auth")),
    (None, "programs", Names("--programs")),
    (Some('g'), "global", Names("--global")),
];
const LIST: &[Flag] = &[(Some('p'), "program-type", ProgramType)];
const XDP: &[Flag] = &[
    (Some('i'), "iface", Operand(1)),
    (None, "proceed-on", Names("--proceed-on")),
];
const TC: &[Flag] = &[
    (Some('i'), "iface", Operand(1)),
    (Some('d'), "direction", Operand(2)),
    (None, "proceed-on", Names("--proceed-on")),
];
const TRACEPOINT: &[Flag] = &[(Some('t'), "tracepoint", Operand(1))];
const KPROBE: &[Flag] = &[
    (Some('f'), "fn-name", Operand(1)),
    (Some('o'), "offset", Name("--offset")),
    (Some('c'), "container-pid", Name("--container-pid")),
];
const UPROBE: &[Flag] = &[
    (Some('t'), "target", Operand(1)),
    (Some('o'), "offset", Name("--offset")),
    (Some('p'), "pid", Name("--pid")),
    (Some('c'), "container-pid", Name("--container-pid")),
];

/// The words of today's grammar for a command line of 0.6; any other as it is.
pub(crate) fn translate(mut arguments: Vec<OsString>, root: &Command) -> Vec<OsString> {
    // What daemon sets call the service by.
    if arguments.get(1).is_some_and(|word| word == "--csi-support") {
        arguments.insert(1, "serve".into());
        return arguments;
    }
    let Some(mut at) = first_word(&arguments, root) else {
        return arguments;
    };
    let asks_for_help = arguments[at] == "help";
    if asks_for_help {
        at += 1;
    }
    let Some(older) = command(arguments.get(at..).unwrap_or_default()) else {
        return arguments;
    };
    let (older, rest) = older;
    let mut translated: Vec<OsString> = arguments[..at]
        .iter()
        .filter(|word| !(asks_for_help && *word == "help"))
        .cloned()
        .collect();
    translated.extend(older.rewrite(&arguments[at + rest..], root));
    if asks_for_help {
        translated.push("--help".into());
    }
    translated
}

/// Where the first word is that is neither a flag nor the value of one.
fn first_word(arguments: &[OsString], root: &Command) -> Option<usize> {
    let mut index = 1;
    loop {
        let token = arguments.get(index)?;
        if token == "--" || !is_flag(token) {
            return Some(index);
        }
        index += 1 + usize::from(takes_next(token, [Some(root)]));
    }
}

/// The command of 0.6 that the words begin with, and how many of them name it.
fn command(words: &[OsString]) -> Option<(Older, usize)> {
    let word = |index: usize| words.get(index).and_then(|word| word.to_str());
    let (today, flags, named): (&[&str], &[Flag], usize) = match (word(0)?, word(1)) {
        ("load", Some("file")) => (&["program", "load", "file"], LOAD_FILE, 2),
        ("load", Some("image")) => (&["program", "load", "image"], LOAD_IMAGE, 2),
        ("load", None) => (&["program", "load"], &[], 1),
        ("load", Some(flag)) if flag.starts_with('-') => (&["program", "load"], &[], 1),
        ("unload", _) => (&["program", "unload"], &[], 1),
        ("detach", _) => (&["link", "detach"], &[], 1),
        ("list", Some("programs" | "program")) => (&["program", "list"], LIST, 2),
        ("list", Some("links" | "link")) => (&["link", "list"], LIST, 2),
        ("attach", Some(id)) if !id.starts_with('-') => return attach(id, word(2)),
        ("attach", _) => (&["link", "attach"], &[], 1),
        _ => return None,
    };
    let older = Older {
        words: today.iter().map(Into::into).collect(),
        flags,
        operands: Vec::new(),
    };
    Some((older, named))
}

/// `attach ID TYPE`: the type came after the program.
fn attach(id: &str, kind: Option<&str>) -> Option<(Older, usize)> {
    let kind = kind.filter(|kind| !kind.starts_with('-'));
    let flags = match kind {
        Some("xdp") => XDP,
        Some("tc" | "tcx") => TC,
        Some("tracepoint") => TRACEPOINT,
        Some("kprobe") => KPROBE,
        Some("uprobe") => UPROBE,
        _ => &[],
    };
    let mut words: Vec<OsString> = vec!["link".into(), "attach".into()];
    words.extend(kind.map(OsString::from));
    let older = Older {
        words,
        flags,
        // `help attach xdp` names no program.
        operands: kind.map(|_| id.into()).into_iter().collect(),
    };
    Some((older, 2 + usize::from(kind.is_some())))
}

impl Older {
    /// The whole of today's words, from those that follow the command's own.
    fn rewrite(self, rest: &[OsString], root: &Command) -> Vec<OsString> {
        let node = self
            .words
            .iter()
            .try_fold(root, |command, word| command.find_subcommand(word));
        let mut operands: Vec<Option<OsString>> = self.operands.into_iter().map(Some).collect();
        let mut flags: Vec<OsString> = Vec::new();
        let mut tokens = rest.iter().peekable();
        while let Some(token) = tokens.next() {
            let Some((becomes, value)) = find(self.flags, token) else {
                flags.push(token.clone());
                if is_flag(token) && takes_next(token, [Some(root), node]) {
                    flags.extend(tokens.next().cloned());
                }
                continue;
            };
            let mut values: Vec<OsString> = value
                .or_else(|| tokens.next().cloned())
                .into_iter()
                .collect();
            match becomes {
                Operand(index) => {
                    if operands.len() <= index {
                        operands.resize(index + 1, None);
                    }
                    operands[index] = values.pop();
                }
                Name(name) => flags.extend([name.into()].into_iter().chain(values)),
                Names(name) => {
                    while let Some(value) = tokens.next_if(|token| !is_flag(token)) {
                        values.push(value.clone());
                    }
                    for value in values {
                        flags.extend([name.into(), value]);
                    }
                }
                ProgramType => {
                    flags.push("--program-type".into());
                    flags.extend(values.iter().map(|value| program_types(value)));
                }
            }
        }
        // After an operand that is missing none can stand in its place: the parser names the first that is missing.
        let operands = operands.into_iter().map_while(|operand| operand);
        self.words
            .into_iter()
            .chain(operands)
            .chain(flags)
            .collect()
    }
}

/// What a word is as one of these flags, and its value if that is in the same word.
fn find(flags: &[Flag], token: &OsStr) -> Option<(Becomes, Option<OsString>)> {
    let token = token.to_str()?;
    if let Some(long) = token.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.into())),
            None => (long, None),
        };
        let (_, _, becomes) = flags.iter().find(|(_, known, _)| *known == name)?;
        return Some((*becomes, value));
    }
    let mut letters = token.strip_prefix('-')?.chars();
    let letter = letters.next()?;
    let (_, _, becomes) = flags.iter().find(|(known, _, _)| *known == Some(letter))?;
    let value = letters.as_str();
    let value = value.strip_prefix('=').unwrap_or(value);
    Some((*becomes, (!value.is_empty()).then(|| value.into())))
}

/// Types of the kernel as those of programs.
fn program_types(value: &OsStr) -> OsString {
    match value.to_str() {
        Some("probe") => "kprobe,kretprobe,uprobe,uretprobe".into(),
        Some("tc") => "tc,tcx".into(),
        Some("tracing") => "fentry,fexit".into(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn translated(line: &str) -> String {
        let words = std::iter::once("bpfman")
            .chain(line.split_whitespace())
            .map(Into::into)
            .collect();
        let words = super::translate(words, &Cli::command());
        words[1..]
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The table of the commands of 0.6 with what they are called today.
    #[test]
    fn every_command_has_its_successor() {
        for (older, today) in [
            (
                "load file -p P --programs xdp:b tc:d",
                "program load file P --programs xdp:b --programs tc:d",
            ),
            (
                "load file --programs fentry:b:c -g a=01 b=02 --path=P -m k=v,l=w -a app --map-owner-id 5",
                "program load file P --programs fentry:b:c --global a=01 --global b=02 -m k=v,l=w -a app --map-owner-id 5",
            ),
            (
                "load image -i U --programs xdp:b -r B64 -p Always",
                "program load image U --programs xdp:b --registry-auth B64 -p Always",
            ),
            ("unload 5", "program unload 5"),
            ("detach 7", "link detach 7"),
            ("attach 5 xdp -i eth0 -p 50", "link attach xdp 5 eth0 -p 50"),
            (
                "attach 5 xdp --proceed-on pass drop --iface eth0 --priority 50 -n /run/netns/x",
                "link attach xdp 5 eth0 --proceed-on pass --proceed-on drop --priority 50 -n /run/netns/x",
            ),
            (
                "attach 5 tc -d ingress -i eth0 -p 50",
                "link attach tc 5 eth0 ingress -p 50",
            ),
            (
                "attach 5 tcx -i eth0 --direction=egress -p50",
                "link attach tcx 5 eth0 egress -p50",
            ),
            (
                "attach 5 tracepoint -t g/n -m k=v",
                "link attach tracepoint 5 g/n -m k=v",
            ),
            (
                "attach 5 kprobe -f FN -o 8",
                "link attach kprobe 5 FN --offset 8",
            ),
            (
                "attach 5 uprobe -f FN -t T -p 1 -c 2 -o3",
                "link attach uprobe 5 T -f FN --pid 1 --container-pid 2 --offset 3",
            ),
            ("attach 5 fentry", "link attach fentry 5"),
            ("attach 5 fexit -m k=v", "link attach fexit 5 -m k=v"),
            ("list programs", "program list"),
            ("list program -a", "program list -a"),
            (
                "list programs -p probe --application a -m k=v",
                "program list --program-type kprobe,kretprobe,uprobe,uretprobe --application a -m k=v",
            ),
            ("list links -p tc", "link list --program-type tc,tcx"),
            (
                "list link --program-type=xdp",
                "link list --program-type xdp",
            ),
            ("--csi-support", "serve --csi-support"),
            (
                "--csi-support --socket-path /s",
                "serve --csi-support --socket-path /s",
            ),
        ] {
            assert_eq!(translated(older), today, "{older}");
        }
    }

    #[test]
    fn flags_of_today_are_taken_as_they_are() {
        assert_eq!(
            translated("--runtime-dir /x load file --maps-mode 0640 -p P -o json --programs a:b"),
            "--runtime-dir /x program load file P --maps-mode 0640 -o json --programs a:b"
        );
        assert_eq!(
            translated("attach 5 xdp --strategy fused -i e -p 1"),
            "link attach xdp 5 e --strategy fused -p 1"
        );
        assert_eq!(translated("attach 5 sk_lookup"), "link attach sk_lookup 5");
    }

    #[test]
    fn what_is_missing_is_not_taken_from_elsewhere() {
        assert_eq!(
            translated("attach 5 tc -d ingress -p 50"),
            "link attach tc 5 -p 50"
        );
        assert_eq!(translated("load file -p"), "program load file");
        assert_eq!(translated("attach"), "link attach");
        assert_eq!(translated("attach 5"), "link attach");
        assert_eq!(translated("attach 5 --help"), "link attach --help");
        assert_eq!(translated("load"), "program load");
    }

    #[test]
    fn help_is_of_todays_command() {
        assert_eq!(translated("help load file"), "program load file --help");
        assert_eq!(translated("help detach"), "link detach --help");
        assert_eq!(translated("load file --help"), "program load file --help");
        assert_eq!(translated("attach 5 xdp -h"), "link attach xdp 5 -h");
        assert_eq!(translated("help program load"), "help program load");
    }

    #[test]
    fn what_is_no_command_of_0_6_stays() {
        for line in [
            "",
            "help",
            "program list",
            "link attach xdp 5 eth0 -p 50",
            "get program 5",
            "load counter.o",
            "list",
            "list maps",
            "--runtime-dir",
            "-- load file",
            "--log load status",
        ] {
            assert_eq!(translated(line), line);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_words_are_translated(words in proptest::collection::vec(
            "load|file|image|attach|detach|list|programs|help|-p|-i|--programs|--programs=|-o|5|xdp|tc|--|-|-x|", 0..8,
        )) {
            translated(&words.join(" "));
        }
    }
}
