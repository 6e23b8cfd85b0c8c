//! The health service, what is told while the loader is away, and what the service says of itself.

use api_worker::proto::ListRequest;
use bpfman_tests::grpc::Grpc;
use bpfman_tests::instance::Instance;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

#[test]
fn the_loader_being_away_is_unavailable_and_told_by_the_health_service() {
    use tonic_health::pb::health_check_response::ServingStatus;
    let first = Instance::start();
    let instance = Instance::start_without_loader();
    let grpc = Grpc::to(&instance);
    let away = grpc.list(ListRequest::default()).expect_err("no loader");
    assert_eq!(away.code(), Code::Unavailable, "{away}");
    assert_eq!(
        health(&instance, "bpfman.v1.Bpfman"),
        Ok(ServingStatus::NotServing)
    );
    for service in ["", "bpfman.v1.Bpfman"] {
        assert_eq!(health(&first, service), Ok(ServingStatus::Serving));
    }
    assert_eq!(health(&first, "nothing"), Err(Code::NotFound));

    fn health(instance: &Instance, service: &str) -> Result<ServingStatus, Code> {
        use tonic_health::pb::HealthCheckRequest;
        use tonic_health::pb::health_client::HealthClient;
        on(instance, async |channel| {
            let request = HealthCheckRequest {
                service: service.to_owned(),
            };
            let answer = HealthClient::new(channel).check(request).await;
            let answer = answer.map_err(|status| status.code())?;
            Ok(answer.into_inner().status())
        })
    }
}

/// In the version that has a name of its own; clients that know the older one alone are in Python (`clients.rs`).
#[test]
fn reflection_tells_services_and_their_messages() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Ask;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Told;
    let instance = Instance::start();
    let ask = |message| {
        on(&instance, async |channel| {
            let request = ServerReflectionRequest {
                message_request: Some(message),
                ..ServerReflectionRequest::default()
            };
            let answers = ServerReflectionClient::new(channel)
                .server_reflection_info(tonic::codegen::tokio_stream::once(request))
                .await
                .expect("reflection");
            let answer = answers.into_inner().message().await.expect("an answer");
            answer.and_then(|answer| answer.message_response)
        })
    };
    let Some(Told::ListServicesResponse(list)) = ask(Ask::ListServices(String::new())) else {
        panic!("no list");
    };
    let names: Vec<_> = list.service.iter().map(|it| it.name.as_str()).collect();
    for name in ["bpfman.v1.Bpfman", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let of = "bpfman.v1.LoadRequest".to_owned();
    let Some(Told::FileDescriptorResponse(file)) = ask(Ask::FileContainingSymbol(of)) else {
        panic!("no file");
    };
    let has_message = |file: &Vec<u8>| {
        let name = b"LoadRequest";
        file.windows(name.len()).any(|window| window == name)
    };
    assert!(file.file_descriptor_proto.iter().any(has_message));
}

/// Asks over a connection of its own.
fn on<T>(instance: &Instance, ask: impl AsyncFnOnce(Channel) -> T) -> T {
    let path = instance.grpc_socket();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let endpoint = Endpoint::from_shared(format!("unix://{}", path.display()));
        let channel = endpoint.expect("a path").connect().await;
        ask(channel.expect("connected")).await
    })
}
