//! The grammar of bpfman 0.6, in which scripts are written: `load file -p`, `attach ID xdp -i`, `list programs`,
//! `image build -t`. Its words are put into those of today's grammar before they are parsed, so that values, help and errors are today's.
//!
//! Flags that 0.6 did not have are taken as they are, and so is everything that is no command line of 0.6.

use crate::default_command::{first_word, is_flag, takes_next};
use crate::image::platforms::MACHINES;
use crate::kernel_names::program_type;
use clap::Command;
use ipc::messages::program::ProgramKind;
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
    /// An object file after the operands.
    Bytecode,
    /// Nothing, nor its value: what it was for is not needed.
    Nothing,
}

/// A flag of 0.6: letter (of flags that only changed how often they take values there may be none), name, what it became.
type Flag = (Option<char>, &'static str, Becomes);

/// A command of 0.6.
struct Older {
    /// The words of today's command.
    words: Vec<OsString>,
    flags: &'static [Flag],
    /// Operands that were operands in 0.6; none for one that a flag has to give.
    operands: Vec<Option<OsString>>,
}

use Becomes::{Bytecode, Flag as Name, Flags as Names, Nothing, Operand, ProgramType};

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
];
const UPROBE: &[Flag] = &[
    (Some('t'), "target", Operand(1)),
    (Some('o'), "offset", Name("--offset")),
    (Some('p'), "pid", Name("--pid")),
    (Some('c'), "container-pid", Name("--container-pid")),
];

const PULL: &[Flag] = &[
    (Some('i'), "image-url", Operand(0)),
    (Some('r'), "registry-auth", Name("--registry-auth")),
];
/// Images are made without a container tool and its recipe.
const BUILD: &[Flag] = &[
    (Some('t'), "tag", Operand(0)),
    (Some('b'), "bytecode", Bytecode),
    (Some('f'), "container-file", Nothing),
    (Some('r'), "runtime", Nothing),
];
const BUILD_ARGS: &[Flag] = &[(Some('b'), "bytecode", Bytecode)];

/// What 0.6 called the kernel's types of programs, by `enum bpf_prog_type`.
const KERNEL_TYPES: [&str; 32] = [
    "unspec",
    "socket-filter",
    "probe",
    "tc",
    "sched-act",
    "tracepoint",
    "xdp",
    "perf-event",
    "cgroup-skb",
    "cgroup-sock",
    "lwt-in",
    "lwt-out",
    "lwt-xmit",
    "sock-ops",
    "sk-skb",
    "cgroup-device",
    "sk-msg",
    "raw-tracepoint",
    "cgroup-sock-addr",
    "lwt-seg6-local",
    "lirc-mode2",
    "sk-reuseport",
    "flow-dissector",
    "cgroup-sysctl",
    "raw-tracepoint-writable",
    "cgroup-sockopt",
    "tracing",
    "struct-ops",
    "ext",
    "lsm",
    "sk-lookup",
    "syscall",
];

/// The words of today's grammar for a command line of 0.6; any other as it is.
pub(crate) fn translate(mut arguments: Vec<OsString>, root: &Command) -> Vec<OsString> {
    // What daemon sets call the service by.
    let service = ["--csi-support", "--csi-support=true", "--csi-support=false"];
    if arguments
        .get(1)
        .is_some_and(|word| service.iter().any(|flag| word == flag))
    {
        arguments.insert(1, "serve".into());
        return arguments;
    }
    let Some(at) = first_word(&arguments, root) else {
        return arguments;
    };
    let Some((older, rest)) = command(&arguments[at..]) else {
        return arguments;
    };
    let mut translated = arguments[..at].to_vec();
    translated.extend(older.rewrite(&arguments[at + rest..], root));
    translated
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
        ("image", Some("pull")) => (&["image", "pull"], PULL, 2),
        ("image", Some("build")) => (&["image", "build"], BUILD, 2),
        ("image", Some("generate-build-args")) => {
            (&["image", "generate-build-args"], BUILD_ARGS, 2)
        }
        _ => return None,
    };
    let older = Older {
        words: today.iter().map(Into::into).collect(),
        flags,
        // No object file can stand in the place of the image's name.
        operands: if named == 2 && word(1) == Some("build") {
            vec![None]
        } else {
            Vec::new()
        },
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
        operands: kind.map(|_| Some(id.into())).into_iter().collect(),
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
        let mut operands = self.operands;
        let mut bytecode: Vec<OsString> = Vec::new();
        let mut flags: Vec<OsString> = Vec::new();
        let mut tokens = rest.iter().peekable();
        while let Some(token) = tokens.next() {
            if let Some((platform, value)) = of_platform(self.flags, token) {
                let value = value.or_else(|| tokens.next().map(OsString::as_os_str));
                bytecode.extend(value.map(|value| mapped(&platform, value)));
                continue;
            }
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
                Bytecode => bytecode.extend(values),
                Nothing => {}
                ProgramType => {
                    flags.push("--program-type".into());
                    flags.extend(values.iter().map(|value| program_types(value)));
                }
            }
        }
        // After an operand that is missing none can stand in its place: the parser names the first that is missing.
        if operands.iter().any(Option::is_none) {
            bytecode.clear();
        }
        let operands = operands.into_iter().map_while(|operand| operand);
        self.words
            .into_iter()
            .chain(operands)
            .chain(bytecode)
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

/// The platform that a flag like `--bc-amd64-el` of a command that takes object files is for, and its value if that is in
/// the same word.
fn of_platform<'a>(flags: &[Flag], token: &'a OsStr) -> Option<(String, Option<&'a OsStr>)> {
    if !flags
        .iter()
        .any(|(_, _, becomes)| matches!(becomes, Bytecode))
    {
        return None;
    }
    let long = token.to_str()?.strip_prefix("--")?;
    let (name, value) = match long.split_once('=') {
        Some((name, value)) => (name, Some(OsStr::new(value))),
        None => (long, None),
    };
    let argument = name.to_uppercase().replace('-', "_");
    let machine = MACHINES
        .iter()
        .find(|machine| machine.argument == argument)?;
    Some((machine.platform(), value))
}

/// `PLATFORM=PATH`.
fn mapped(platform: &str, path: &OsStr) -> OsString {
    let mut word = OsString::from(platform);
    word.push("=");
    word.push(path);
    word
}

/// Types of the kernel as those of programs, where programs have one of them; others under the name that the kernel's
/// programs are listed with. What is neither is left for the parser as it was written.
fn program_types(value: &OsStr) -> OsString {
    let Some(value) = value.to_str() else {
        return value.to_owned();
    };
    let types = value.split(',').map(|name| {
        let Some(number) = KERNEL_TYPES.iter().position(|known| *known == name) else {
            return name.to_owned();
        };
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let kinds: Vec<&str> = ProgramKind::ALL
            .into_iter()
            .filter(|kind| kind.kernel_type() == number)
            .map(ProgramKind::name)
            .collect();
        if kinds.is_empty() {
            program_type(number)
        } else {
            kinds.join(",")
        }
    });
    types.collect::<Vec<_>>().join(",").into()
}

#[cfg(test)]
mod tests;
