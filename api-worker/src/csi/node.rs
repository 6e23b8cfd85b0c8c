//! Volumes on this node.

use super::busy::Busy;
use super::proto;
use super::proto::node_service_capability::rpc;
use super::proto::node_service_capability::{Rpc, Type};
use super::proto::{
    NodeExpandVolumeRequest, NodeExpandVolumeResponse, NodeGetCapabilitiesRequest,
    NodeGetCapabilitiesResponse, NodeGetInfoRequest, NodeGetInfoResponse,
    NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse, NodePublishVolumeRequest,
    NodePublishVolumeResponse, NodeServiceCapability, NodeStageVolumeRequest,
    NodeStageVolumeResponse, NodeUnpublishVolumeRequest, NodeUnpublishVolumeResponse,
    NodeUnstageVolumeRequest, NodeUnstageVolumeResponse,
};
use super::{request, status};
use crate::grpc::connection::Asker;
use ipc::messages::client::ClientReply;
use ipc::messages::loader::LoaderRequest;
use tonic::{Request, Response, Status};

pub(super) struct Node {
    busy: Busy,
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            busy: Busy::default(),
        }
    }

    /// Goes to its end even if nobody waits any more; until then nothing else is done to the volume.
    async fn carry_out(
        &self,
        asker: Asker,
        volume_id: &str,
        request: LoaderRequest,
    ) -> Result<(), Status> {
        let volume = self.busy.take(volume_id).ok_or_else(|| {
            Status::aborted(format!(
                "another operation on volume {volume_id} is in progress; try again"
            ))
        })?;
        let mut context = asker.context.clone();
        let done = asker.whole(async move {
            let _volume = volume;
            context.ask_loader(&request, &[]).await
        });
        match done.await.map_err(|failure| status::of(&failure))? {
            ClientReply::Done => Ok(()),
            other => Err(Status::internal(format!(
                "another answer than was asked for: {other:?}"
            ))),
        }
    }
}

fn unimplemented<T>(method: &str) -> Result<Response<T>, Status> {
    Err(Status::unimplemented(format!(
        "volumes of this driver have no {method}"
    )))
}

#[tonic::async_trait]
impl proto::node_server::Node for Node {
    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let asker = Asker::of(&request)?;
        let wanted = request::publish(request.into_inner())?;
        let volume_id = wanted.place.volume_id.clone();
        let publish = LoaderRequest::PublishVolume {
            session: asker.context.session,
            place: wanted.place,
            program: wanted.program,
            maps: wanted.maps,
            access: wanted.access,
        };
        self.carry_out(asker, &volume_id, publish).await?;
        Ok(Response::new(NodePublishVolumeResponse {}))
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        let asker = Asker::of(&request)?;
        let NodeUnpublishVolumeRequest {
            volume_id,
            target_path,
        } = request.into_inner();
        let unpublish = LoaderRequest::UnpublishVolume {
            session: asker.context.session,
            place: request::place(volume_id.clone(), target_path)?,
        };
        self.carry_out(asker, &volume_id, unpublish).await?;
        Ok(Response::new(NodeUnpublishVolumeResponse {}))
    }

    /// The kubelet says by it which group a pod has, instead of changing the group of what it finds in the volume.
    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        let capability = NodeServiceCapability {
            r#type: Some(Type::Rpc(Rpc {
                r#type: rpc::Type::VolumeMountGroup.into(),
            })),
        };
        Ok(Response::new(NodeGetCapabilitiesResponse {
            capabilities: vec![capability],
        }))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        let system = rustix::system::uname();
        Ok(Response::new(NodeGetInfoResponse {
            node_id: system.nodename().to_string_lossy().into_owned(),
        }))
    }

    async fn node_stage_volume(
        &self,
        _: Request<NodeStageVolumeRequest>,
    ) -> Result<Response<NodeStageVolumeResponse>, Status> {
        unimplemented("NodeStageVolume")
    }

    async fn node_unstage_volume(
        &self,
        _: Request<NodeUnstageVolumeRequest>,
    ) -> Result<Response<NodeUnstageVolumeResponse>, Status> {
        unimplemented("NodeUnstageVolume")
    }

    async fn node_get_volume_stats(
        &self,
        _: Request<NodeGetVolumeStatsRequest>,
    ) -> Result<Response<NodeGetVolumeStatsResponse>, Status> {
        unimplemented("NodeGetVolumeStats")
    }

    async fn node_expand_volume(
        &self,
        _: Request<NodeExpandVolumeRequest>,
    ) -> Result<Response<NodeExpandVolumeResponse>, Status> {
        unimplemented("NodeExpandVolume")
    }
}
