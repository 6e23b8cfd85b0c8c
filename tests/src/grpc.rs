//! A client of the gRPC interface that waits for each answer.

use crate::instance::Instance;
use api_worker::proto::attach_info::Info;
use api_worker::proto::bpfman_client::BpfmanClient;
use api_worker::proto::bytecode_location::Location;
use api_worker::proto::{
    AttachInfo, AttachRequest, BpfmanProgramType, BytecodeImage, BytecodeLocation, DetachRequest,
    GetRequest, GetResponse, ListRequest, LoadInfo, LoadRequest, LoadResponse, PullBytecodeRequest,
    UnloadRequest, list_response::ListResult,
};
use std::path::Path;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

/// One connection.
#[derive(Debug)]
pub struct Grpc {
    runtime: Runtime,
    client: BpfmanClient<Channel>,
}

impl Grpc {
    /// Connects to a service.
    pub fn to(instance: &Instance) -> Self {
        Self::connect(&instance.grpc_socket()).expect("a connection")
    }

    /// Connects to a socket.
    ///
    /// # Errors
    ///
    /// When nobody takes the connection.
    pub fn connect(socket: &Path) -> Result<Self, tonic::transport::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?;
        let channel = runtime.block_on(endpoint.connect())?;
        Ok(Self {
            runtime,
            client: BpfmanClient::new(channel),
        })
    }

    /// One call of any method.
    ///
    /// # Errors
    ///
    /// Its status.
    pub fn call<T>(
        &self,
        ask: impl AsyncFnOnce(BpfmanClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        self.runtime
            .block_on(ask(self.client.clone()))
            .map(Response::into_inner)
    }

    /// Runs anything on the connection's runtime.
    pub fn run<T>(&self, work: impl AsyncFnOnce(BpfmanClient<Channel>) -> T) -> T {
        self.runtime.block_on(work(self.client.clone()))
    }

    /// `Load`.
    ///
    /// # Errors
    ///
    /// Its status, as for all that follow.
    pub fn load(&self, request: LoadRequest) -> Result<LoadResponse, Status> {
        self.call(async |mut client| client.load(request).await)
    }

    /// `Unload`.
    pub fn unload(&self, id: u32) -> Result<(), Status> {
        self.call(async |mut client| client.unload(UnloadRequest { id }).await)
            .map(drop)
    }

    /// `Attach`; the id of the link.
    pub fn attach(&self, id: u32, info: Info) -> Result<u32, Status> {
        let request = AttachRequest {
            id,
            attach: Some(AttachInfo { info: Some(info) }),
        };
        self.call(async |mut client| client.attach(request).await)
            .map(|response| response.link_id)
    }

    /// `Detach`.
    pub fn detach(&self, link_id: u32) -> Result<(), Status> {
        self.call(async |mut client| client.detach(DetachRequest { link_id }).await)
            .map(drop)
    }

    /// `List`.
    pub fn list(&self, request: ListRequest) -> Result<Vec<ListResult>, Status> {
        self.call(async |mut client| client.list(request).await)
            .map(|response| response.results)
    }

    /// `Get`.
    pub fn get(&self, id: u32) -> Result<GetResponse, Status> {
        self.call(async |mut client| client.get(GetRequest { id }).await)
    }

    /// `PullBytecode`.
    pub fn pull(&self, image: impl Into<Option<BytecodeImage>>) -> Result<(), Status> {
        let request = PullBytecodeRequest {
            image: image.into(),
        };
        self.call(async |mut client| client.pull_bytecode(request).await)
            .map(drop)
    }

    /// Loads programs that must load; their ids.
    #[track_caller]
    pub fn loaded(&self, object: &Path, programs: &[(&str, BpfmanProgramType)]) -> Vec<u32> {
        let response = self
            .load(load_request(object, programs))
            .expect("they load");
        let id = |program: api_worker::proto::LoadResponseInfo| {
            program.kernel_info.expect("kernel_info").id
        };
        response.programs.into_iter().map(id).collect()
    }
}

/// A request for programs of a file.
pub fn load_request(object: &Path, programs: &[(&str, BpfmanProgramType)]) -> LoadRequest {
    LoadRequest {
        bytecode: Some(BytecodeLocation {
            location: Some(Location::File(object.display().to_string())),
        }),
        info: programs
            .iter()
            .map(|(name, program_type)| LoadInfo {
                name: (*name).to_owned(),
                program_type: (*program_type).into(),
                info: None,
            })
            .collect(),
        ..LoadRequest::default()
    }
}
