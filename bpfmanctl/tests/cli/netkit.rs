//! What `link attach netkit` asks for.

use crate::samples;
use crate::service::Service;
use ipc::messages::attach::AttachSpec;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::mprog::NetkitHook;

#[test]
fn an_end_of_a_pair_is_named_by_its_primary_device() {
    let service = Service::start(|_, _, _| ClientReply::Link(Box::new(samples::tcx_link())));
    for line in ["nk0 --hook primary --priority 0", "nk0 --hook peer -p 50"] {
        let outcome = service.run(&format!("link attach netkit 5 {line}"));
        assert_eq!(outcome.code, 0, "{line}: {outcome:?}");
    }
    let specs: Vec<AttachSpec> = service
        .requests()
        .into_iter()
        .map(|request| match request {
            ClientRequest::Attach { spec, .. } => spec,
            other => panic!("{other:?}"),
        })
        .collect();
    let netkit = |hook, priority| AttachSpec::Netkit {
        interface: "nk0".to_owned(),
        hook,
        priority,
    };
    assert_eq!(
        specs,
        [netkit(NetkitHook::Primary, 0), netkit(NetkitHook::Peer, 50)]
    );
    for line in [
        "nk0 --hook peer",
        "nk0 -p 0",
        "--hook peer -p 0",
        "nk0 --hook peer -p -1",
        "nk0 --hook ingress -p 0",
    ] {
        let line = format!("link attach netkit 5 {line}");
        assert_eq!(service.run(&line).code, 80, "{line}");
    }
    assert_eq!(service.requests().len(), 2, "nothing more was asked");
}
