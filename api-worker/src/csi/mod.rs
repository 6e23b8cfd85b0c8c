//! The Container Storage Interface: volumes of Kubernetes pods with maps of managed programs in them.
//!
//! The kubelet connects to a socket of its own, which there is only where volumes are wanted. Requests are checked here
//! ([`request`]) and carried out by the loader, which sees from the kubelet's own socket that it is root.
//!
//! ```text
//! grpc::connection ──▶ identity
//!                  └─▶ node ── request (pure) ── busy ──▶ loader
//! ```

mod busy;
mod identity;
mod node;
pub mod proto;
mod request;
mod status;

use crate::grpc::Server;
use crate::grpc::places::Places;
use crate::limits::GRPC_REQUEST_BYTES;
use proto::identity_server::IdentityServer;
use proto::node_server::{NodeServer, SERVICE_NAME};
use tonic::service::Routes;

/// The services of the driver. Their connections take the places that all gRPC clients share.
pub fn server(places: Places) -> Server {
    let node = NodeServer::new(node::Node::new()).max_decoding_message_size(GRPC_REQUEST_BYTES);
    let routes = Routes::new(IdentityServer::new(identity::Identity))
        .add_service(node)
        .prepare();
    Server::with(routes, places, SERVICE_NAME)
}
