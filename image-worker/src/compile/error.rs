//! What can be wrong with an object, and what to do about it.

use ipc::limits;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::{GlobalType, ProgramKind};

/// Why there is no plan. Each names the cause; [`CompileError::remedy`] says what to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CompileError {
    /// No byte in it.
    #[error("the object file is empty")]
    Empty,
    /// More than the limit.
    #[error("the object file has more than {} bytes", limits::OBJECT_BYTES)]
    TooLarge,
    /// No ELF magic.
    #[error("the file is not an ELF object")]
    NotElf,
    /// 32-bit ELF.
    #[error("the object is a 32-bit ELF file")]
    Not64Bit,
    /// The other byte order.
    #[error("the object is big-endian, this machine is little-endian")]
    BigEndian,
    /// Compiled for a processor.
    #[error("the object is for machine {0}, not for BPF (machine 247)")]
    WrongMachine(u16),
    /// An executable or a shared library.
    #[error("the ELF file is of type {0}, not a relocatable object (type 1)")]
    NotRelocatable(u16),
    /// Something lies beyond the end of the file.
    #[error("the object is truncated: {0} lies beyond the end of the file")]
    Truncated(String),
    /// A contradiction in the file.
    #[error("the object is malformed: {0}")]
    Malformed(String),
    /// A bound of ours was reached.
    #[error("the object has too many {what}: more than {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// The request asks for none.
    #[error("no program is asked for")]
    NoPrograms,
    /// The request asks for too many.
    #[error("more than {} programs in one load", limits::LOAD_PROGRAMS)]
    TooManyPrograms,
    /// The request asks for the same program twice.
    #[error("program \"{0}\" is asked for twice")]
    DuplicateProgram(String),
    /// Not in the object. Both lists are sorted.
    #[error(
        "program(s) not found in object file: [{}]; available programs: [{}]",
        missing.join(", "),
        available.join(", ")
    )]
    ProgramsNotFound {
        /// What is asked for and not there.
        missing: Vec<String>,
        /// What is there.
        available: Vec<String>,
        /// What may have been meant.
        suggestions: Vec<String>,
    },
    /// The section says another kind.
    #[error(
        "program type mismatch: caller specified {declared} but ELF section \"{section}\" implies {implied}"
    )]
    KindMismatch {
        /// What the caller says.
        declared: ProgramKind,
        /// The section.
        section: String,
        /// What the section says.
        implied: ProgramKind,
    },
    /// More global values than the bound.
    #[error("more than {} global variables set in one load", limits::GLOBALS)]
    TooManyGlobals,
    /// No such variable.
    #[error("global variable \"{name}\" not found in program; available: [{}]", available.join(", "))]
    GlobalNotFound {
        /// What was asked for.
        name: String,
        /// What is there, sorted.
        available: Vec<String>,
    },
    /// Variable and value differ in size.
    #[error("set variable \"{name}\": it has {expected} bytes, the value has {given}")]
    GlobalSize {
        /// Which.
        name: String,
        /// Bytes of the variable.
        expected: u64,
        /// Bytes of the value.
        given: u64,
    },
    /// The value was given as another type than the variable's.
    #[error("set variable \"{name}\": it is of type {is}, the value is given as {given_as}")]
    GlobalType {
        /// Which.
        name: String,
        /// What it is.
        is: String,
        /// As what the value was given.
        given_as: GlobalType,
    },
    /// Text that does not fit.
    #[error("set variable \"{name}\": it has room for {room} bytes of text, the value has {given}")]
    GlobalText {
        /// Which.
        name: String,
        /// Bytes of the variable but one.
        room: u64,
        /// Bytes of the text.
        given: u64,
    },
    /// A function refers to something that is not in the object.
    #[error("function \"{function}\" uses \"{symbol}\", which the object does not define")]
    UnresolvedSymbol {
        /// Who refers.
        function: String,
        /// To what.
        symbol: String,
    },
    /// The source sets an element of a map to something that cannot be there.
    #[error("map \"{map}\": element {key} is {reason}")]
    MapElement {
        /// Which map.
        map: String,
        /// Its key.
        key: u32,
        /// What it is.
        reason: String,
    },
    /// A program would jump to one that is not loaded.
    #[error(
        "program \"{program}\" may call program \"{callee}\", element {key} of map \"{map}\", which is not asked for"
    )]
    TailCallee {
        /// Who jumps.
        program: String,
        /// By which array of programs.
        map: String,
        /// The place there.
        key: u32,
        /// To whom.
        callee: String,
        /// What the section of that one says of its kind.
        kind: Option<ProgramKind>,
    },
    /// Valid, but nothing that bpfman can load.
    #[error("{0}")]
    Unsupported(String),
    /// Type information contradicts itself.
    #[error("the object's BTF is malformed: {0}")]
    Btf(String),
    /// The kernel's types could not be had.
    #[error("the object needs the kernel's BTF, which cannot be used: {0}")]
    KernelBtf(String),
    /// Neither the request nor the section says what to attach to.
    #[error("{kind} program \"{program}\" names nothing to attach to")]
    NoAttachTarget {
        /// Declared kind.
        kind: ProgramKind,
        /// C function name.
        program: String,
    },
    /// The running kernel has no such function or hook.
    #[error("{} \"{name}\" not found in the kernel's types", place(*kind))]
    AttachTargetNotFound {
        /// Declared kind.
        kind: ProgramKind,
        /// Function or hook.
        name: String,
        /// What may have been meant.
        suggestions: Vec<String>,
    },
    /// Neither the request nor the section says at which hook of a control group.
    #[error("{kind} program \"{program}\" names no hook")]
    NoHook {
        /// Declared kind.
        kind: ProgramKind,
        /// C function name.
        program: String,
        /// The hooks of the kind.
        hooks: Vec<&'static str>,
    },
    /// Programs of the kind run at no such hook.
    #[error("{kind} programs have no hook \"{name}\"")]
    UnknownHook {
        /// Declared kind.
        kind: ProgramKind,
        /// What is asked for.
        name: String,
        /// The hooks of the kind.
        hooks: Vec<&'static str>,
    },
    /// The ELF parser refuses the object.
    #[error("the object cannot be parsed: {0}")]
    Parser(String),
    /// A relocation cannot be made.
    #[error("the object cannot be relocated: {0}")]
    Relocation(String),
}

impl CompileError {
    /// What the caller can do.
    pub fn remedy(&self) -> String {
        const REBUILD: &str = "compile it with clang -O2 -g -target bpf -c";
        match self {
            Self::Empty | Self::NotElf | Self::Not64Bit | Self::NotRelocatable(_) => {
                format!("pass a BPF object file: {REBUILD}")
            }
            Self::BigEndian => "compile it with -target bpfel".to_owned(),
            Self::WrongMachine(_) => REBUILD.to_owned(),
            Self::TooLarge => "strip it of debug sections with llvm-strip -g".to_owned(),
            Self::Truncated(_) => "copy or compile it again".to_owned(),
            Self::Malformed(_) | Self::Btf(_) | Self::Parser(_) => {
                format!("{REBUILD}, and do not post-process it")
            }
            Self::Limit { .. } => "split the object".to_owned(),
            Self::NoPrograms => "name at least one program".to_owned(),
            Self::TooManyPrograms | Self::TooManyGlobals => "split the load".to_owned(),
            Self::DuplicateProgram(_) => "name each program once".to_owned(),
            Self::AttachTargetNotFound { suggestions, .. } if suggestions.is_empty() => {
                "see `bpftool btf dump file /sys/kernel/btf/vmlinux` for the names".to_owned()
            }
            Self::ProgramsNotFound { suggestions, .. }
            | Self::AttachTargetNotFound { suggestions, .. } => did_you_mean(suggestions),
            Self::NoAttachTarget { .. } => "give it as TYPE:NAME:FUNCTION".to_owned(),
            Self::NoHook {
                kind,
                program,
                hooks,
            } => format!(
                "give it as {kind}:{program}:HOOK; hooks are {}",
                hooks.join(", ")
            ),
            Self::UnknownHook { hooks, .. } => format!("hooks are {}", hooks.join(", ")),
            Self::KindMismatch { implied, .. } => format!("load it as {implied}"),
            Self::GlobalNotFound { name, available } => did_you_mean(&super::select::similar(
                name,
                available.iter().map(String::as_str),
            )),
            Self::GlobalSize { expected, .. } => format!("give {expected} bytes"),
            Self::GlobalType { .. } => {
                "give it as its type, or its bytes as they stand in memory: NAME=0x…".to_owned()
            }
            Self::GlobalText { .. } => "give a shorter text".to_owned(),
            Self::UnresolvedSymbol { symbol, .. } if symbol.starts_with("CONFIG_") => {
                format!(
                    "the kernel's configuration is not read: declare it __weak, and it is 0, or give its \
                     value: --global {symbol}:TYPE=VALUE"
                )
            }
            Self::UnresolvedSymbol { .. } => {
                "kernel functions and variables (.ksyms) are not supported; define it in the object"
                    .to_owned()
            }
            Self::TailCallee { callee, kind, .. } => {
                let kind = kind.map_or_else(|| "TYPE".to_owned(), |kind| kind.to_string());
                format!("name it as well: --programs {kind}:{callee}")
            }
            Self::MapElement { .. } => {
                "set the element to something else in the source, or after loading".to_owned()
            }
            Self::Unsupported(_) | Self::Relocation(_) => String::new(),
            Self::KernelBtf(_) => {
                "use a kernel with CONFIG_DEBUG_INFO_BTF (/sys/kernel/btf/vmlinux)".to_owned()
            }
        }
    }

    fn stage(&self) -> Stage {
        match self {
            Self::Empty
            | Self::TooLarge
            | Self::NotElf
            | Self::Not64Bit
            | Self::BigEndian
            | Self::WrongMachine(_)
            | Self::NotRelocatable(_)
            | Self::Truncated(_) => Stage::Object,
            _ => Stage::Compile,
        }
    }

    fn code(&self) -> FailureCode {
        match self {
            Self::ProgramsNotFound { .. }
            | Self::GlobalNotFound { .. }
            | Self::AttachTargetNotFound { .. } => FailureCode::NotFound,
            Self::KindMismatch { .. } | Self::TailCallee { .. } => FailureCode::FailedPrecondition,
            Self::TooLarge | Self::Limit { .. } | Self::TooManyPrograms | Self::TooManyGlobals => {
                FailureCode::ResourceExhausted
            }
            Self::Unsupported(_) | Self::UnresolvedSymbol { .. } | Self::KernelBtf(_) => {
                FailureCode::Unsupported
            }
            _ => FailureCode::InvalidArgument,
        }
    }
}

/// What programs of a kind attach to.
fn place(kind: ProgramKind) -> &'static str {
    match kind {
        ProgramKind::Lsm => "security hook",
        ProgramKind::TpBtf => "tracepoint",
        ProgramKind::Iter => "iterator",
        _ => "kernel function",
    }
}

fn did_you_mean(suggestions: &[String]) -> String {
    if suggestions.is_empty() {
        return String::new();
    }
    format!("did you mean: {}?", suggestions.join(", "))
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        let mut cause = error.to_string();
        if cause.len() > crate::limits::CAUSE_BYTES {
            cause.truncate(cause.floor_char_boundary(crate::limits::CAUSE_BYTES));
            cause.push('…');
        }
        Failure::new(error.code(), error.stage(), cause).remedy(error.remedy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_does_not_have_brings_a_remedy() {
        let remedy = |suggestions: &[&str]| {
            CompileError::AttachTargetNotFound {
                kind: ProgramKind::Fentry,
                name: "do_unlinkt".to_owned(),
                suggestions: suggestions.iter().map(ToString::to_string).collect(),
            }
            .remedy()
        };
        assert_eq!(remedy(&["do_unlinkat"]), "did you mean: do_unlinkat?");
        assert!(remedy(&[]).contains("bpftool btf dump"));
    }
}
