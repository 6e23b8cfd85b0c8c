//! Loads of verified images from the cache, beside loads of a file.

use crate::LOG;
use crate::operations::{ask, done, load, loaded, options};
use crate::samples::Samples;
use anyhow::{Result, ensure};
use bpfman_tests::authority::{Authority, Subject};
use bpfman_tests::binaries::program;
use bpfman_tests::fixture::Objects;
use bpfman_tests::instance::{Client, Instance};
use bpfman_tests::registry::Registry;
use bpfman_tests::signature;
use ipc::messages::client::ClientRequest;
use ipc::messages::program::Source;
use ipc::messages::pull::{ImageSource, PullPolicy};
use std::fs::{self, File};
use std::process::Command;

const SIGNER: &str = "signer@example.com";
const ISSUER: &str = "https://issuer.example.com";

/// The same program from each place.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    pub(crate) file: Samples,
    pub(crate) key: Samples,
    pub(crate) identity: Samples,
}

#[allow(
    clippy::disallowed_methods,
    reason = "the images are built as a user builds them"
)]
/// A service that demands signatures, two images in its cache, and no registry any more.
pub(crate) fn measure(rounds: usize) -> Result<Loads> {
    let (place, netns) = Instance::fresh_place();
    let folder = place.path();
    let objects = Objects::new();
    let object = objects.object("counter");
    let mut authority = Authority::default();
    let key = rcgen::KeyPair::generate()?;
    let trust = folder.join("trust");
    fs::create_dir(&trust)?;
    fs::write(
        trust.join("trusted_root.json"),
        authority.trusted_root().to_string(),
    )?;
    fs::write(trust.join("key.pub"), key.public_key_pem())?;
    fs::write(folder.join("sign.key"), key.serialize_pem())?;
    let config = folder.join("bpfman.toml");
    let text = format!(
        "[signing]\ntrust_dir = \"{}\"\nkeys = [\"key.pub\"]\n[[signing.trusted_identities]]\n\
         certificate_identity = \"{SIGNER}\"\ncertificate_oidc_issuer = \"{ISSUER}\"\n",
        trust.display()
    );
    fs::write(&config, text)?;

    let registry = netns.inside(Registry::start);
    let by_key = registry.image("bench/key:v1");
    let by_identity = registry.image("bench/identity:v1");
    for image in [&by_key, &by_identity] {
        let mut build = Command::new(program("bpfmanctl"));
        build.args(["image", "build", image]).arg(&object);
        if *image == by_key {
            build.arg("--sign-key").arg(folder.join("sign.key"));
        }
        let built = netns.inside(|| build.output())?;
        ensure!(built.status.success(), "{built:?}");
    }
    let subject = Subject::new(SIGNER, ISSUER);
    netns.inside(|| signature::store(&mut authority, &by_identity, &subject, true));

    let config = config.display().to_string();
    let arguments = [&LOG[..], &["--config", &config]].concat();
    let instance = Instance::start_in(place.clone(), netns.clone(), &arguments);
    for image in [&by_key, &by_identity] {
        instance.ctl(&["image", "pull", image]).ok();
    }
    drop(registry);

    let mut client = instance.client();
    let object = File::open(object)?;
    let mut loads = Loads::default();
    for _ in 0..rounds {
        let id = loads.file.time(|| load(&mut client, &object))?;
        unload(&mut client, id)?;
        for (samples, image) in [
            (&mut loads.key, &by_key),
            (&mut loads.identity, &by_identity),
        ] {
            let id = samples.time(|| load_image(&mut client, image))?;
            unload(&mut client, id)?;
        }
    }
    Ok(loads)
}

fn load_image(client: &mut Client, image: &str) -> Result<u32> {
    let source = Source::Image(ImageSource {
        url: image.to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        origin: None,
    });
    let request = ClientRequest::LoadImage {
        options: options(source),
        types: Vec::new(),
    };
    loaded(ask(client, &request, &[])?)
}

fn unload(client: &mut Client, program_id: u32) -> Result<()> {
    done(ask(client, &ClientRequest::Unload { program_id }, &[])?)
}
