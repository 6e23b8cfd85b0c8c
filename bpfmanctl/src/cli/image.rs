//! The grammar of `image`.

mod build;
mod cache;
mod look;

pub(crate) use build::{BuildArgsArgs, ImageBuildArgs, ImagePushArgs, SignArgs};
pub(crate) use look::{AuthArgs, ImageInspectArgs, ImageVerifyArgs};

pub(crate) use cache::{ImagePruneArgs, ImagePullArgs, RegistryArgs};

use super::OutputArgs;
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
            bpfmanctl image build quay.io/acme/counter:v1 \\\n      \
            linux/amd64=el.o linux/s390x=eb.o --sign-key sign.key\n  \
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

    /// Show what an image in a registry consists of, as JSON
    #[command(after_help = "Examples:\n  bpfmanctl image inspect quay.io/acme/counter:v1")]
    Inspect(ImageInspectArgs),

    /// Check who signed an image in a registry
    #[command(
        long_about = "Check who signed an image in a registry.\n\n\
            Without a word on whom to trust the service judges by its configuration, and keeps what it accepts in its cache. \
            With keys, identities or --allow-unsigned on the command line the service has no part in it.",
        after_help = "Examples:\n  \
            bpfmanctl image verify quay.io/acme/counter:v1\n  \
            bpfmanctl image verify quay.io/acme/counter:v1 --key acme.pub\n  \
            bpfmanctl image verify quay.io/bpfman-bytecode/xdp_pass:latest \\\n      \
            --certificate-identity-regexp 'https://github\\.com/bpfman/.*' \\\n      \
            --certificate-oidc-issuer https://token.actions.githubusercontent.com"
    )]
    Verify(ImageVerifyArgs),

    /// Fetch an image into the cache of the service
    #[command(
        after_help = "Examples:\n  bpfmanctl image pull quay.io/acme/counter:v1\n  \
            BPFMAN_REGISTRY_AUTH=$(printf %s user:password | base64) \\\n      \
            bpfmanctl image pull registry.example/counter:v1"
    )]
    Pull(ImagePullArgs),

    /// List the images in the cache
    #[command(
        long_about = "List the images in the cache.\n\n\
            DIGEST is that of the manifest for this machine. ACCEPTED is the verdict of the present configuration.",
        after_help = "Examples:\n  bpfmanctl image list -o json"
    )]
    List(OutputArgs),

    /// Remove images from the cache
    #[command(
        long_about = "Remove images from the cache.\n\nImages that programs were loaded from stay, unless --all is given.",
        after_help = "Examples:\n  bpfmanctl image prune\n  bpfmanctl image prune --all"
    )]
    Prune(ImagePruneArgs),
}
