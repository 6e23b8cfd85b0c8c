//! The established interface: gRPC `bpfman.v1`, with health checks and reflection.
//!
//! A connection is a session like that of any other client, with the same identity in the eyes of the loader: its own socket.
//! Its requests become the requests that `bpfmanctl` makes ([`crate::requests`]); only their form and the codes of their
//! failures are of this interface. Clients here cannot pass descriptors: paths are opened for them by the loader's helper,
//! with their rights, and credentials are passed on for them.
//!
//! ```text
//! connection ── places ──▶ service ── load, attach ──▶ requests
//!      ▲                      └────── programs, status ◀──┘
//! ```

mod attach;
mod authority;
mod bodies;
pub mod connection;
mod credentials;
mod deadline;
mod load;
pub mod places;
mod programs;
mod service;
pub(crate) mod status;

use crate::limits::{GRPC_REPLY_BYTES, GRPC_REQUEST_BYTES};
use crate::peers::Directory;
use crate::proto::DESCRIPTORS;
use crate::proto::bpfman_server::{BpfmanServer, SERVICE_NAME};
use service::Service;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

/// Everything that is served, and the places for those it is served to.
#[derive(Clone, Debug)]
pub struct Server {
    routes: Routes,
    /// Places of connections and requests.
    pub places: places::Places,
    /// The service whose requests need a place; others ask nobody.
    counted: &'static str,
}

impl Server {
    /// The services. Must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// When the descriptors of the interface do not parse, which they were built from.
    pub fn new(directory: Directory) -> Result<Self, tonic_reflection::server::Error> {
        let bpfman = BpfmanServer::new(Service)
            .max_decoding_message_size(GRPC_REQUEST_BYTES)
            .max_encoding_message_size(GRPC_REPLY_BYTES);
        let (reporter, health) = health_reporter();
        tokio::spawn(follow(directory, reporter));
        let reflected = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let routes = Routes::new(bpfman)
            .add_service(health)
            .add_service(reflected().build_v1()?)
            .add_service(reflected().build_v1alpha()?)
            .prepare();
        Ok(Self::with(routes, places::Places::default(), SERVICE_NAME))
    }

    /// Other services, of which one asks workers.
    pub(crate) fn with(routes: Routes, places: places::Places, counted: &'static str) -> Self {
        Self {
            routes,
            places,
            counted,
        }
    }
}

/// `bpfman.v1.Bpfman` is as healthy as the loader, without which nothing is answered. The empty name stands for this
/// process, and that answers.
async fn follow(mut directory: Directory, reporter: HealthReporter) {
    loop {
        let status = if directory.has_loader() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        reporter.set_service_status(SERVICE_NAME, status).await;
        if !directory.loader_changed().await {
            return;
        }
    }
}
