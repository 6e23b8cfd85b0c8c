//! The health service, and what is told while the loader is away.

use api_worker::proto::ListRequest;
use bpfman_tests::grpc::Grpc;
use bpfman_tests::instance::Instance;
use tonic::Code;

#[test]
fn the_loader_being_away_is_unavailable_and_told_by_the_health_service() {
    use tonic_health::pb::health_check_response::ServingStatus;
    let first = Instance::start();
    // Two cannot have one store.
    let taken = first.state_dir().display().to_string();
    let instance = Instance::start_without_loader(&["--state-dir", &taken]);
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
        let path = instance.grpc_socket();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let endpoint =
                tonic::transport::Endpoint::from_shared(format!("unix://{}", path.display()));
            let channel = endpoint
                .expect("a path")
                .connect()
                .await
                .expect("connected");
            let request = HealthCheckRequest {
                service: service.to_owned(),
            };
            let answer = HealthClient::new(channel).check(request).await;
            let answer = answer.map_err(|status| status.code())?;
            Ok(answer.into_inner().status())
        })
    }
}
