//! Attaching beside others.

use crate::samples;
use crate::service::Service;
use ipc::messages::attach::AttachSpec;
use ipc::messages::client::{ClientReply, ClientRequest};

#[test]
fn an_attach_takes_part_in_a_dispatcher_of_libxdp_if_asked() {
    let service = Service::start(|_, _, _| ClientReply::Link(Box::new(samples::guest_link())));
    let attached = service
        .run("link attach xdp 5 eth0 -p 50 --proceed-on drop,pass --cooperate libxdp -o json");
    assert_eq!((attached.code, attached.errors.as_str()), (0, ""));
    assert!(attached.output.contains("\"cooperate\": \"libxdp\""));
    let [ClientRequest::Attach { spec, .. }] = &service.requests()[..] else {
        panic!("one attach");
    };
    assert_eq!(
        *spec,
        AttachSpec::XdpGuest {
            interface: "eth0".to_owned(),
            priority: 50,
            proceed_on: vec![1, 2],
        }
    );
    // Strategies are those of bpfman's own chains, and libxdp knows interfaces by their index alone.
    for rest in [
        "fused --strategy fused",
        "libxdp --strategy direct",
        "libxdp -n /run/netns/a",
    ] {
        let refused = service.run(&format!("link attach xdp 5 eth0 -p 50 --cooperate {rest}"));
        assert_eq!(refused.code, 80, "{rest}: {refused:?}");
    }
}
