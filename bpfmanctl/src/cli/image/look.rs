//! The grammar of looking at images in registries.

use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(crate) struct AuthArgs {
    /// Credentials for the registry: base64 of USER:PASSWORD
    #[arg(
        long,
        value_name = "BASE64",
        env = "BPFMAN_REGISTRY_AUTH",
        hide_env_values = true
    )]
    pub(crate) registry_auth: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ImageInspectArgs {
    /// Name of the image: [REGISTRY/]REPOSITORY[:TAG][@DIGEST]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    #[command(flatten)]
    pub(crate) registry: AuthArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ImageVerifyArgs {
    /// Name of the image: [REGISTRY/]REPOSITORY[:TAG][@DIGEST]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Accept an image without any signature
    #[arg(long)]
    pub(crate) allow_unsigned: bool,

    /// Accept a signature with this public key (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,

    /// Accept a signature with a certificate for this address or URI
    #[arg(
        long,
        value_name = "IDENTITY",
        conflicts_with = "certificate_identity_regexp"
    )]
    pub(crate) certificate_identity: Option<String>,

    /// As --certificate-identity: all of it matches a regular expression
    #[arg(long, value_name = "REGEXP")]
    pub(crate) certificate_identity_regexp: Option<String>,

    /// Who must have vouched for the identity
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "certificate_oidc_issuer_regexp"
    )]
    pub(crate) certificate_oidc_issuer: Option<String>,

    /// As --certificate-oidc-issuer: all of it matches a regular expression
    #[arg(long, value_name = "REGEXP")]
    pub(crate) certificate_oidc_issuer_regexp: Option<String>,

    /// Directory with trusted_root.json, against which certificates and logs are checked
    #[arg(long, value_name = "DIR", default_value = "/etc/bpfman/trust")]
    pub(crate) trust_dir: PathBuf,

    /// Demand that a signature with a key is in a transparency log, too
    #[arg(long, requires = "key")]
    pub(crate) require_log: bool,

    #[command(flatten)]
    pub(crate) registry: AuthArgs,
}
