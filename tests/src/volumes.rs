//! What the kubelet does with volumes: a directory of its own for pods, and requests over the socket of the driver.

use crate::instance::Instance;
use api_worker::csi::proto::identity_client::IdentityClient;
use api_worker::csi::proto::node_client::NodeClient;
use api_worker::csi::proto::volume_capability::access_mode::Mode;
use api_worker::csi::proto::volume_capability::{AccessMode, AccessType, MountVolume};
use api_worker::csi::proto::{
    NodePublishVolumeRequest, NodeUnpublishVolumeRequest, VolumeCapability,
};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

/// The kubelet's directory, on a file system of its own: all that is mounted beneath goes with it.
#[derive(Debug)]
pub struct Kubelet {
    folder: TempDir,
    instance: Option<PathBuf>,
}

impl Default for Kubelet {
    fn default() -> Self {
        Self::new()
    }
}

impl Kubelet {
    /// An empty directory.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("bpfman-kubelet-")
            .tempdir()
            .expect("a directory");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        let kubelet = Self {
            folder,
            instance: None,
        };
        let root = kubelet.root();
        fs::create_dir(&root).expect("a directory");
        let none = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", &root, "tmpfs", none, None).expect("a file system");
        // As it is in a container whose mounts nobody else sees; and nothing of it stays on this machine.
        mount_change(&root, MountPropagationFlags::PRIVATE).expect("private");
        kubelet
    }

    /// The directory.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("kubelet")
    }

    /// A configuration that names it.
    pub fn configuration(&self) -> String {
        let file = self.folder.path().join("bpfman.toml");
        let text = format!("[csi]\nkubelet_dir = \"{}\"\n", self.root().display());
        fs::write(&file, text).expect("the configuration");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("chmod");
        file.to_str().expect("text").to_owned()
    }

    /// A service that serves volumes in it.
    pub fn serve(&mut self) -> Instance {
        let file = self.configuration();
        let instance = Instance::start_with(&["--config", &file, "--csi-support"]);
        self.instance = Some(instance.runtime_dir());
        instance
    }

    /// What is mounted beneath is seen elsewhere no more, as in a mount namespace that was made of another one.
    pub fn cut_off(&self) {
        let root = self.root();
        mount_change(&root, MountPropagationFlags::SHARED).expect("shared");
        let master = self.folder.path().join("master");
        fs::create_dir(&master).expect("a directory");
        mount_bind(&root, &master).expect("a peer");
        mount_change(&root, MountPropagationFlags::DOWNSTREAM).expect("a slave");
    }

    /// Where a pod is to see its volume; the directory above is there, as the kubelet makes it.
    pub fn target(&self, pod: &str) -> PathBuf {
        let volume = self.root().join("pods").join(pod).join("volumes/maps");
        fs::create_dir_all(&volume).expect("a directory");
        volume.join("mount")
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        // What was never mounted is what is wanted.
        for mount in [self.root(), self.folder.path().join("master")] {
            let _ = unmount(mount, UnmountFlags::DETACH);
        }
        let volumes = self.instance.as_ref().map(|path| path.join("csi/fs"));
        let entries = volumes.into_iter().flat_map(fs::read_dir).flatten();
        for entry in entries.flatten() {
            let _ = unmount(entry.path(), UnmountFlags::DETACH);
        }
    }
}

/// A connection to the driver.
#[derive(Debug)]
pub struct Driver {
    runtime: Runtime,
    channel: Channel,
}

impl Driver {
    /// Connects to the driver of a service.
    pub fn of(instance: &Instance) -> Self {
        let socket = instance.runtime_dir().join("csi/csi.sock");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
        let channel = runtime
            .block_on(endpoint.expect("an address").connect())
            .expect("a connection");
        Self { runtime, channel }
    }

    /// Asks which driver it is.
    ///
    /// # Errors
    ///
    /// Its status, as for all that follow.
    pub fn identity<T>(
        &self,
        ask: impl AsyncFnOnce(IdentityClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let client = IdentityClient::new(self.channel.clone());
        self.runtime.block_on(ask(client)).map(Response::into_inner)
    }

    /// Asks for something on the node.
    pub fn node<T>(
        &self,
        ask: impl AsyncFnOnce(NodeClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let client = NodeClient::new(self.channel.clone());
        self.runtime.block_on(ask(client)).map(Response::into_inner)
    }

    /// Asks twice at once; the answer that comes first, then, after `between`, the other one.
    pub fn publish_twice(
        &self,
        request: &NodePublishVolumeRequest,
        between: impl FnOnce(),
    ) -> [Result<(), Status>; 2] {
        let ask = || {
            let (mut client, request) = (NodeClient::new(self.channel.clone()), request.clone());
            Box::pin(async move { client.node_publish_volume(request).await.map(drop) })
        };
        self.runtime.block_on(async {
            let (mut one, mut two) = (ask(), ask());
            let (first, last) = tokio::select! {
                first = &mut one => (first, two),
                first = &mut two => (first, one),
            };
            between();
            [first, last.await]
        })
    }

    /// `NodePublishVolume`.
    pub fn publish(&self, request: NodePublishVolumeRequest) -> Result<(), Status> {
        self.node(async |mut node| node.node_publish_volume(request).await)
            .map(drop)
    }

    /// `NodeUnpublishVolume`.
    pub fn unpublish(&self, volume_id: &str, target: &Path) -> Result<(), Status> {
        let request = NodeUnpublishVolumeRequest {
            volume_id: volume_id.to_owned(),
            target_path: target.display().to_string(),
        };
        self.node(async |mut node| node.node_unpublish_volume(request).await)
            .map(drop)
    }
}

/// What the kubelet asks for on behalf of a pod whose group is `group`.
pub fn volume(
    volume_id: &str,
    target: &Path,
    (program, maps): (&str, &str),
    group: Option<u32>,
) -> NodePublishVolumeRequest {
    let mount = MountVolume {
        volume_mount_group: group.map(|gid| gid.to_string()).unwrap_or_default(),
        ..MountVolume::default()
    };
    NodePublishVolumeRequest {
        volume_id: volume_id.to_owned(),
        target_path: target.display().to_string(),
        volume_capability: Some(VolumeCapability {
            access_mode: Some(AccessMode {
                mode: Mode::SingleNodeWriter.into(),
            }),
            access_type: Some(AccessType::Mount(mount)),
        }),
        readonly: false,
        volume_context: [
            ("csi.bpfman.io/program", program),
            ("csi.bpfman.io/maps", maps),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
    }
}
