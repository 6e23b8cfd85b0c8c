//! Many clients at once, one of whom means harm.

use api_worker::proto::ListRequest;
use api_worker::proto::bpfman_client::BpfmanClient;
use bpfman_tests::hostile::Hostile;
use bpfman_tests::instance::Instance;
use tonic::transport::Endpoint;

const CLIENTS: usize = 199;
const REQUESTS: usize = 3;
const HOSTILE_CONNECTIONS: usize = 2000;

#[test]
fn two_hundred_clients_are_answered_although_one_is_hostile() {
    let instance = Instance::start();
    let socket = instance.grpc_socket();
    let mut hostile = Hostile::start(&socket, HOSTILE_CONNECTIONS);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let answers = runtime.block_on(async {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
                tokio::spawn(async move {
                    let channel = endpoint.expect("a path").connect().await;
                    let mut client = BpfmanClient::new(channel.expect("a connection"));
                    let mut answers = 0;
                    for _ in 0..REQUESTS {
                        let answer = client.list(ListRequest::default()).await;
                        assert_eq!(answer.expect("an answer").into_inner().results, []);
                        answers += 1;
                    }
                    answers
                })
            })
            .collect();
        let mut answers = 0;
        for client in clients {
            answers += client.await.expect("a client");
        }
        answers
    });
    assert_eq!(answers, CLIENTS * REQUESTS);
    assert!(hostile.wait_for_harm() >= HOSTILE_CONNECTIONS);
    drop(hostile);
    instance.ctl(&["program", "list"]).ok();
    let restarts = instance.status();
    assert!(restarts.iter().all(|row| row.restarts == 0), "{restarts:?}");
}
