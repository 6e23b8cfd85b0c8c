//! The grammar of `link attach` for kinds with several places.

use super::LinkArgs;
use crate::parse;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

#[derive(Args, Debug)]
pub(crate) struct KprobeMultiArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// Kernel functions
    #[arg(value_name = "FUNCTION", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) functions: Vec<String>,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

#[derive(Args, Debug)]
pub(crate) struct UprobeMultiArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// Absolute path, or name of a library
    #[arg(value_name = "TARGET", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) target: String,

    /// Functions
    #[arg(value_name = "FUNCTION", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) functions: Vec<String>,

    #[command(flatten)]
    pub(crate) process: ProcessArgs,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

#[derive(Args, Debug)]
pub(crate) struct UsdtArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// Absolute path, or name of a library
    #[arg(value_name = "TARGET", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) target: String,

    /// The probe
    #[arg(value_name = "PROVIDER:NAME", value_parser = parse::usdt)]
    pub(crate) probe: (String, String),

    #[command(flatten)]
    pub(crate) process: ProcessArgs,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ProcessArgs {
    /// Only this process [default: all]
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) pid: Option<i32>,

    /// Look the target up where this process sees files: in its container
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) container_pid: Option<i32>,
}
