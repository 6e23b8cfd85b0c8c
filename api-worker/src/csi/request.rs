//! What a request for a volume asks for, and what is wrong with it. Pure.

use super::proto::NodePublishVolumeRequest;
use super::proto::volume_capability::access_mode::Mode;
use super::proto::volume_capability::{AccessType, MountVolume};
use ipc::limits::{METADATA_BYTES, PATH_BYTES, VOLUME_MAPS, VOLUME_NAME_BYTES};
use ipc::messages::volume::{VolumeAccess, VolumePlace};
use std::path::{Component, Path};
use tonic::Status;

/// Key of the name that the program was loaded under.
const PROGRAM: &str = "csi.bpfman.io/program";
/// Key of the names of the maps.
const MAPS: &str = "csi.bpfman.io/maps";

/// A volume that is asked for.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Wanted {
    pub(super) place: VolumePlace,
    pub(super) program: String,
    pub(super) maps: Vec<String>,
    pub(super) access: VolumeAccess,
}

/// What a publish request asks for.
pub(super) fn publish(request: NodePublishVolumeRequest) -> Result<Wanted, Status> {
    let place = place(request.volume_id, request.target_path)?;
    let capability = request
        .volume_capability
        .ok_or_else(|| invalid("the volume capability is missing"))?;
    let mode = capability.access_mode.unwrap_or_default().mode();
    if !matches!(mode, Mode::SingleNodeWriter | Mode::SingleNodeSingleWriter) {
        return Err(invalid(format!(
            "access mode {} is not supported: use SINGLE_NODE_WRITER or SINGLE_NODE_SINGLE_WRITER",
            mode.as_str_name()
        )));
    }
    let group = match capability.access_type {
        Some(AccessType::Mount(mount)) => group(&mount)?,
        Some(AccessType::Block(_)) => {
            return Err(invalid("a volume of maps is no block device: use a mount"));
        }
        None => return Err(invalid("the volume capability has no access type")),
    };
    let attribute = |key: &str| {
        let value = request.volume_context.get(key).map(|value| value.trim());
        value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| invalid(format!("volume attribute {key} is missing")))
    };
    let program = attribute(PROGRAM)?.to_owned();
    if program.len() > METADATA_BYTES {
        return Err(invalid(format!("{PROGRAM} is longer than a label")));
    }
    Ok(Wanted {
        place,
        program,
        maps: maps(attribute(MAPS)?)?,
        access: VolumeAccess {
            group,
            read_only: request.readonly,
        },
    })
}

/// Which volume is meant, and where it is to be seen.
pub(super) fn place(volume_id: String, target: String) -> Result<VolumePlace, Status> {
    if volume_id.is_empty() {
        return Err(invalid("the volume id is missing"));
    }
    // It becomes the name of a directory.
    if matches!(volume_id.as_str(), "." | "..")
        || volume_id.contains(['/', '\0'])
        || volume_id.len() > VOLUME_NAME_BYTES
    {
        return Err(invalid(format!("{volume_id:?} is no id of a volume")));
    }
    if target.is_empty() {
        return Err(invalid("the target path is missing"));
    }
    let mut parts = Path::new(&target).components();
    let is_absolute = parts.next() == Some(Component::RootDir);
    let mut names = parts.peekable();
    let has_name = names.peek().is_some();
    let is_plain = names.all(|part| matches!(part, Component::Normal(_)));
    if !is_absolute || !has_name || !is_plain || target.contains('\0') || target.len() > PATH_BYTES
    {
        return Err(invalid(format!(
            "target path {target:?} is no absolute path of a directory without `..`"
        )));
    }
    Ok(VolumePlace { volume_id, target })
}

fn group(mount: &MountVolume) -> Result<Option<u32>, Status> {
    if !mount.fs_type.is_empty() {
        return Err(invalid(format!(
            "file system type {:?} is not supported: leave it out",
            mount.fs_type
        )));
    }
    if !mount.mount_flags.is_empty() {
        return Err(invalid("mount flags are not supported: leave them out"));
    }
    let text = mount.volume_mount_group.as_str();
    if text.is_empty() {
        return Ok(None);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    // -1 means "leave it as it is".
    match text.parse::<u32>() {
        Ok(gid) if is_number && gid != u32::MAX => Ok(Some(gid)),
        _ => Err(invalid(format!("{text:?} is no group id"))),
    }
}

/// Without blanks around them, each once.
fn maps(text: &str) -> Result<Vec<String>, Status> {
    let mut maps: Vec<String> = Vec::new();
    let names = text.split(',').map(str::trim);
    for name in names.filter(|name| !name.is_empty()) {
        if name.len() > VOLUME_NAME_BYTES {
            return Err(invalid(format!(
                "{MAPS}: a name is longer than one of a file"
            )));
        }
        if !maps.iter().any(|known| known == name) {
            maps.push(name.to_owned());
        }
        if maps.len() > VOLUME_MAPS {
            return Err(invalid(format!("{MAPS}: more than {VOLUME_MAPS} maps")));
        }
    }
    if maps.is_empty() {
        return Err(invalid(format!("volume attribute {MAPS} names no map")));
    }
    Ok(maps)
}

fn invalid(cause: impl Into<String>) -> Status {
    Status::invalid_argument(cause)
}

#[cfg(test)]
mod tests;
