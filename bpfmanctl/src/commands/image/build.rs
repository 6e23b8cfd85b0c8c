//! `image build`, `image push` and `image generate-build-args`. None of them asks the service.

use super::publish::publish;
use crate::cli::{BuildArgsArgs, ImageBuildArgs, ImagePushArgs, SignArgs};
use crate::commands::{print, write};
use crate::console::Console;
use crate::exit::Error;
use crate::image::{inputs, labels};
use crate::json;
use crate::object::open_regular;
use crate::time::rfc3339;
use oci::build::{Content, Image, Input, Recipe, layout};
use oci::manifest::Platform;
use oci::{Digest, Reference};
use signing::key::PrivateKey;
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub(in crate::commands) fn build(
    arguments: &ImageBuildArgs,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let reference = named(&arguments.image)?;
    let key = key(&arguments.signing)?;
    let inputs = inputs::read(
        &arguments.input.bytecode,
        arguments.input.cilium_ebpf_project.as_deref(),
    )?;
    let labels = labels::of(&inputs)?;
    let seconds = arguments.source_date_epoch;
    let created = match i64::try_from(seconds) {
        Ok(0) => "1970-01-01T00:00:00Z".to_owned(),
        Ok(known) => rfc3339(known),
        Err(_) => {
            return Err(Error::Usage(
                "SOURCE_DATE_EPOCH is beyond the year 9999".to_owned(),
            ));
        }
    };
    let image = oci::build::build(&Recipe {
        index: inputs.by_platform,
        inputs: inputs.files.iter().map(input).collect(),
        programs: labels.programs,
        maps: labels.maps,
        created: (seconds, created),
    })
    .map_err(failed)?;
    let images = signed(&reference, image, key.as_ref())?;
    match &arguments.save {
        Some(path) => {
            layout::save(path, &images, seconds).map_err(failed)?;
            let digest = images[0].1.top.digest;
            write(console, &format!("saved: {}@{digest}\n", reference.name()))
        }
        None => publish(
            &reference,
            &images,
            arguments.registry.registry_auth.as_deref(),
            console,
        ),
    }
}

pub(in crate::commands) fn push(
    arguments: &ImagePushArgs,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let reference = named(&arguments.image)?;
    let key = key(&arguments.signing)?;
    let mut images = layout::load(&arguments.layout).map_err(failed)?;
    if images.is_empty() {
        return Err(Error::Failed(format!(
            "{} holds no image",
            arguments.layout.display()
        )));
    }
    let rest = images.split_off(1);
    let digest = images[0].1.top.digest;
    let mut all = match images.pop() {
        Some((_, image)) => signed(&reference, image, key.as_ref())?,
        None => Vec::new(),
    };
    // Signatures that were saved with it; a new one takes their place.
    let tag = oci::build::signature_tag(&digest);
    if all.len() == 1 {
        all.extend(rest.into_iter().filter(|(name, _)| *name == tag));
    }
    publish(
        &reference,
        &all,
        arguments.registry.registry_auth.as_deref(),
        console,
    )
}

pub(in crate::commands) fn generate_build_args(
    arguments: &BuildArgsArgs,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let inputs = inputs::read(
        &arguments.input.bytecode,
        arguments.input.cilium_ebpf_project.as_deref(),
    )?;
    let labels = labels::of(&inputs)?;
    let text = |_| {
        let mut lines = String::new();
        for file in &inputs.files {
            lines += &format!("{}={}\n", json::image::argument(&inputs, file), file.path);
        }
        let (programs, maps) = (&labels.programs, &labels.maps);
        let compact = oci::build::compact;
        format!(
            "{lines}PROGRAMS={}\nMAPS={}\n",
            compact(programs),
            compact(maps)
        )
    };
    print(console, arguments.output.output, text, || {
        json::image::BuildArgs::new(&inputs, &labels)
    })
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(error.to_string())
}

/// What an image is called when it is made: by a tag.
fn named(text: &str) -> Result<Reference, Error> {
    let reference: Reference = text
        .parse()
        .map_err(|error: oci::Error| Error::Usage(error.to_string()))?;
    if reference.digest().is_some() {
        return Err(Error::Usage(format!(
            "\"{text}\" names a digest: what is made here has the digest that it has"
        )));
    }
    Ok(reference)
}

fn input(file: &inputs::Bytecode) -> Input {
    Input {
        platform: Platform {
            architecture: file.machine.architecture.to_owned(),
            os: "linux".to_owned(),
            variant: None,
        },
        name: file.name().to_owned(),
        object: file.object.clone(),
    }
}

fn key(arguments: &SignArgs) -> Result<Option<PrivateKey>, Error> {
    arguments.sign_key.as_deref().map(read_key).transpose()
}

fn read_key(path: &Path) -> Result<PrivateKey, Error> {
    let failed = |cause: String| Error::Failed(format!("key \"{}\": {cause}", path.display()));
    let file = open_regular(path).map_err(|error| failed(error.to_string()))?;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    File::from(file)
        .take(signing::limits::PRIVATE_KEY_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(error.to_string()))?;
    PrivateKey::parse(&bytes).map_err(|error| failed(error.to_string()))
}

/// The image under its tag, and its signature under the tag of signatures.
fn signed(
    reference: &Reference,
    image: Image,
    key: Option<&PrivateKey>,
) -> Result<layout::Tagged, Error> {
    let digest = image.top.digest;
    let tag = reference.tag().unwrap_or("latest").to_owned();
    let mut images = vec![(tag, image)];
    if let Some(key) = key {
        images.push((
            oci::build::signature_tag(&digest),
            signature(reference, &digest, key)?,
        ));
    }
    Ok(images)
}

fn signature(reference: &Reference, digest: &Digest, key: &PrivateKey) -> Result<Image, Error> {
    let image = signing::Image {
        repository: &reference.name(),
        digest: &digest.to_string(),
    };
    let (payload, annotations) = match signing::sign::sign(&image, key).map_err(failed)? {
        signing::Material::Cosign {
            payload,
            annotations,
        } => (payload, annotations),
        signing::Material::Bundle(_) => return Err(failed("a signature with a key is no bundle")),
    };
    let layer = Content::new(signing::material::PAYLOAD_TYPE, payload);
    oci::build::signatures(&[(layer, annotations)]).map_err(failed)
}
