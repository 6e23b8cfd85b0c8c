//! The grammar of making images.

use super::AuthArgs;
use crate::cli::OutputArgs;
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(crate) struct BytecodeArgs {
    /// Object files: one for this machine, or PLATFORM=PATH for each of several, like linux/arm64=counter.o
    #[arg(value_name = "BYTECODE")]
    pub(crate) bytecode: Vec<String>,

    /// Directory with the object files of bpf2go, instead: all *.o directly in it
    #[arg(short, long, value_name = "DIR")]
    pub(crate) cilium_ebpf_project: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ImageBuildArgs {
    /// Name of the image: [REGISTRY/]REPOSITORY[:TAG]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    #[command(flatten)]
    pub(crate) input: BytecodeArgs,

    /// Save to a new OCI layout instead of pushing: an archive if PATH ends in .tar, else a directory
    #[arg(long, value_name = "PATH")]
    pub(crate) save: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) signing: SignArgs,

    #[command(flatten)]
    pub(crate) registry: AuthArgs,

    /// Seconds since 1970 that stand wherever an image has a time
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        default_value = "0",
        hide_short_help = true
    )]
    pub(crate) source_date_epoch: u64,
}

#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// Sign with this private key: PEM, PKCS#8, not encrypted, ECDSA P-256 or Ed25519
    #[arg(long, value_name = "FILE")]
    pub(crate) sign_key: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ImagePushArgs {
    /// Name of the image: [REGISTRY/]REPOSITORY[:TAG]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// OCI layout that holds it: a directory or an archive
    #[arg(value_name = "LAYOUT")]
    pub(crate) layout: PathBuf,

    #[command(flatten)]
    pub(crate) signing: SignArgs,

    #[command(flatten)]
    pub(crate) registry: AuthArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BuildArgsArgs {
    #[command(flatten)]
    pub(crate) input: BytecodeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
