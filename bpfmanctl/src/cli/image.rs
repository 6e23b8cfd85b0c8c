//! The grammar of `image`.

mod build;

pub(crate) use build::{BuildArgsArgs, ImageBuildArgs, ImagePushArgs, SignArgs};

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Make an image of object files, and push or save it
    #[command(
        long_about = "Make an image of object files, and push or save it.\n\n\
            The same files give the same image, byte for byte. Its labels list the programs and maps that are found in \
            the bytecode. No container tool and no service is needed.",
        after_help = "Examples:\n  \
            bpfmanctl image build quay.io/acme/counter:v1 counter.o\n  \
            bpfmanctl image build quay.io/acme/counter:v1 linux/amd64=el.o linux/s390x=eb.o --sign-key sign.key\n  \
            bpfmanctl image build quay.io/acme/counter:v1 -c ./bpf --save counter.tar"
    )]
    Build(ImageBuildArgs),

    /// Push an image that was saved
    #[command(
        long_about = "Push an image that was saved.\n\n\
            The first image of the layout is pushed, and its signature if there is one.",
        after_help = "Examples:\n  bpfmanctl image push quay.io/acme/counter:v1 counter.tar --sign-key sign.key"
    )]
    Push(ImagePushArgs),

    /// Print the arguments for building an image with a container tool
    #[command(
        after_help = "Examples:\n  bpfmanctl image generate-build-args counter.o\n  \
            bpfmanctl image generate-build-args linux/amd64=el.o linux/s390x=eb.o -o json"
    )]
    GenerateBuildArgs(BuildArgsArgs),
}
