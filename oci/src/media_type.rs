//! Media types of images and their layers, OCI and Docker.

/// OCI image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The empty configuration of an artifact (OCI 1.1).
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// OCI layer: an archive.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer: a compressed archive.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer: a compressed archive.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list, schema 2.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer: a compressed archive.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker layer: an archive.
pub const DOCKER_LAYER_PLAIN: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// What is asked for when a manifest is fetched.
pub const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// What a manifest's media type says it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// One image or artifact.
    Image,
    /// A list of them, by platform.
    Index,
}

/// The shape of a manifest, `None` for anything foreign.
pub fn shape(media_type: &str) -> Option<Shape> {
    match media_type {
        MANIFEST | DOCKER_MANIFEST => Some(Shape::Image),
        INDEX | DOCKER_INDEX => Some(Shape::Index),
        _ => None,
    }
}

/// Whether it is a configuration that has labels.
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, CONFIG | DOCKER_CONFIG)
}

/// Whether a layer of this type can hold bytecode. Artifacts may also carry the object file as it is.
pub fn is_bytecode(media_type: &str, artifact: bool) -> bool {
    match media_type {
        LAYER | LAYER_GZIP | LAYER_ZSTD | DOCKER_LAYER | DOCKER_LAYER_PLAIN => true,
        "application/octet-stream" | "application/x-elf" | "application/x-object" => artifact,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_is_understood() {
        let asked: Vec<&str> = ACCEPT.split(", ").collect();
        for media_type in &asked {
            assert!(shape(media_type).is_some(), "{media_type}");
        }
        assert_eq!(asked, [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX]);
        assert!(shape("application/vnd.docker.distribution.manifest.v1+json").is_none());
    }

    #[test]
    fn object_files_as_they_are_come_in_artifacts_only() {
        assert!(is_bytecode("application/octet-stream", true));
        assert!(!is_bytecode("application/octet-stream", false));
        assert!(is_bytecode(DOCKER_LAYER, false));
        assert!(!is_bytecode(
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            true
        ));
        assert!(!is_bytecode(
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            true
        ));
    }
}
