//! Credentials for registries, found as container tools find them, with the user's rights: the service reads none of these
//! files. Only what the one registry needs leaves this process, in memory that nobody else can open by name.

use crate::exit::Error;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci::Reference;
use oci::registry::Credentials;
use rustix::fs::{MemfdFlags, memfd_create};
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

use crate::limits::{AUTH_FILE_BYTES, HELPER_ANSWER_BYTES};

/// What a helper calls the user of a token that is not a password.
const TOKEN_USER: &str = "<token>";

/// The credentials for a registry: those given, else those of the first file there is. A registry on this machine is
/// asked anonymously, unless some are given.
pub(crate) fn find(
    reference: &Reference,
    given: Option<&str>,
) -> Result<Option<Credentials>, Error> {
    if let Some(given) = given.filter(|given| !given.is_empty()) {
        return parse_pair(given).map(Some);
    }
    if reference.is_loopback() {
        return Ok(None);
    }
    match places().into_iter().find(|path| path.exists()) {
        Some(path) => from_file(&path, reference),
        None => Ok(None),
    }
}

/// Where credentials may be, the first one that exists counts.
#[allow(
    clippy::disallowed_methods,
    reason = "where credentials are is told by the environment, to this tool as to those that wrote them"
)]
fn places() -> Vec<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = variable("HOME");
    let docker = variable("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
    [
        variable("REGISTRY_AUTH_FILE"),
        variable("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json")),
        home.as_ref()
            .map(|home| home.join(".config/containers/auth.json")),
        docker.map(|directory| directory.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `USER:PASSWORD` in base64.
fn parse_pair(encoded: &str) -> Result<Credentials, Error> {
    let usage = |cause: &str| Error::Usage(format!("registry credentials: {cause}"));
    let bytes = STANDARD
        .decode(encoded.trim())
        .map(Zeroizing::new)
        .map_err(|_| usage("not base64; give it as base64 of USER:PASSWORD"))?;
    let pair = std::str::from_utf8(&bytes).map_err(|_| usage("not text"))?;
    let (user, password) = pair
        .split_once(':')
        .ok_or_else(|| usage("no colon in it; give it as base64 of USER:PASSWORD"))?;
    Credentials::basic(user, password).map_err(|error| usage(&error.to_string()))
}

/// `auth.json` of containers, `config.json` of Docker.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthFile {
    #[serde(default)]
    auths: HashMap<String, Entry>,
    #[serde(default)]
    cred_helpers: HashMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Zeroizing<String>,
    #[serde(default)]
    username: Zeroizing<String>,
    #[serde(default)]
    password: Zeroizing<String>,
    #[serde(default, rename = "identitytoken")]
    identity_token: Zeroizing<String>,
}

fn from_file(path: &Path, reference: &Reference) -> Result<Option<Credentials>, Error> {
    let failed =
        |cause: String| Error::Failed(format!("credentials file {}: {cause}", path.display()));
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)
        .and_then(|file| file.take(AUTH_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > AUTH_FILE_BYTES {
        return Err(failed(format!("larger than {AUTH_FILE_BYTES} bytes")));
    }
    // The parser's own words could quote the file.
    let file: AuthFile = serde_json::from_slice(&bytes)
        .map_err(|error| failed(format!("malformed at line {}", error.line())))?;
    for name in names(reference) {
        if let Some(helper) = file.cred_helpers.get(&name)
            && let Some(found) = ask(helper, &name)?
        {
            return Ok(Some(found));
        }
        if let Some(entry) = file.auths.get(&name)
            && let Some(found) = entry
                .credentials()
                .map_err(|error| failed(error.to_string()))?
        {
            return Ok(Some(found));
        }
    }
    let Some(store) = &file.creds_store else {
        return Ok(None);
    };
    for name in names(reference) {
        if let Some(found) = ask(store, &name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What an entry for the image may be called: the repository and what is above it, then the registry as Docker writes it.
fn names(reference: &Reference) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = reference.name();
    loop {
        names.push(name.clone());
        match name.rfind('/') {
            Some(slash) => name.truncate(slash),
            None => break,
        }
    }
    let registry = reference.registry();
    if registry == "docker.io" {
        names.extend(["https://index.docker.io/v1/", "index.docker.io"].map(str::to_owned));
    }
    names.extend([
        format!("https://{registry}"),
        format!("https://{registry}/v1/"),
    ]);
    names
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>, oci::Error> {
        if !self.identity_token.is_empty() {
            return Credentials::identity(&self.identity_token).map(Some);
        }
        if !self.username.is_empty() {
            return Credentials::basic(&self.username, &self.password).map(Some);
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        let decoded = STANDARD
            .decode(self.auth.as_bytes())
            .map(Zeroizing::new)
            .unwrap_or_default();
        let pair = std::str::from_utf8(&decoded).unwrap_or_default();
        let (user, password) = pair.split_once(':').unwrap_or_default();
        // Docker pads passwords with NUL bytes.
        Credentials::basic(user, password.trim_end_matches('\0')).map(Some)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "helpers are programs of the user, run with the user's rights"
)]
/// What a helper knows of a registry (`docker-credential-NAME get`: the name on its input, JSON on its output).
fn ask(helper: &str, registry: &str) -> Result<Option<Credentials>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: Zeroizing<String>,
        secret: Zeroizing<String>,
    }
    let program = format!("docker-credential-{helper}");
    let failed = |cause: String| Error::Failed(format!("credential helper {program}: {cause}"));
    if helper.is_empty() || helper.contains('/') {
        return Err(failed(
            "its name is not one of a program in PATH".to_owned(),
        ));
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut answer = Zeroizing::new(Vec::new());
    let exchanged = exchange(&mut child, registry, &mut answer);
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    exchanged.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        // It says so on its output where it knows nothing; that is no failure.
        return Ok(None);
    }
    if answer.len() as u64 > HELPER_ANSWER_BYTES {
        return Err(failed("its answer is too long".to_owned()));
    }
    let answer: Answer = serde_json::from_slice(&answer)
        .map_err(|_| failed("its answer is malformed".to_owned()))?;
    let found = match answer.username.as_str() {
        TOKEN_USER => Credentials::identity(&answer.secret),
        user => Credentials::basic(user, &answer.secret),
    };
    found.map(Some).map_err(|error| failed(error.to_string()))
}

fn exchange(
    child: &mut std::process::Child,
    registry: &str,
    answer: &mut Vec<u8>,
) -> io::Result<()> {
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(registry.as_bytes()) {
            // One that does not read its input may still answer.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    match child.stdout.take() {
        Some(output) => output
            .take(HELPER_ANSWER_BYTES + 1)
            .read_to_end(answer)
            .map(drop),
        None => Ok(()),
    }
}

/// Credentials on their way to the image worker. Overwritten when the answer is there, whoever still has a descriptor.
#[derive(Debug)]
pub(crate) struct Passed(File);

impl Passed {
    pub(crate) fn new(credentials: &Credentials) -> io::Result<Self> {
        let mut file = File::from(memfd_create("credentials", MemfdFlags::CLOEXEC)?);
        file.write_all(&credentials.encode())?;
        Ok(Self(file))
    }
}

impl AsFd for Passed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        // Pages that are cut off are cleared by the kernel before anybody gets them.
        let _ = self.0.set_len(0);
    }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
