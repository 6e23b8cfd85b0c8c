//! Files of network namespaces.

use crate::samples;
use crate::service::Service;
use ipc::messages::client::{ClientReply, ClientRequest};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

#[test]
fn a_namespace_is_sent_as_an_open_file() {
    let inodes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&inodes);
    let service = Service::start(move |_, _, descriptors| {
        let Ok([namespace]) = <[_; 1]>::try_from(descriptors) else {
            return ClientReply::Done;
        };
        let inode = File::from(namespace).metadata().unwrap().ino();
        seen.lock().unwrap().push(inode);
        ClientReply::Link(Box::new(samples::xdp_link()))
    });
    let path = "/proc/self/ns/net";
    for line in [
        "xdp 5 eth0 -p 50 --netns /proc/self/ns/net",
        "tcx 5 eth0 ingress -p 50 -n /proc/self/ns/net",
        "sk_lookup 5 -n /proc/self/ns/net -m a=1",
        "netkit 5 nk0 --hook peer -p 50 -n /proc/self/ns/net",
        "netfilter 5 --family ipv4 --hook input -p -50 -n /proc/self/ns/net",
    ] {
        let outcome = service.run(&format!("link attach {line}"));
        assert_eq!((outcome.code, outcome.errors.as_str()), (0, ""), "{line}");
    }
    let own = std::fs::metadata(path).unwrap().ino();
    assert_eq!(*inodes.lock().unwrap(), [own; 5]);
    let names: Vec<_> = service
        .requests()
        .into_iter()
        .map(|request| match request {
            ClientRequest::AttachInNamespace {
                program_id: 5,
                spec,
                netns,
                ..
            } if netns == path => spec.name(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["xdp", "tcx", "sk_lookup", "netkit", "netfilter"]);

    for (path, cause) in [
        ("/nowhere/blue", "does not exist"),
        ("/etc", "is a directory"),
        ("/dev/null", "is not a regular file"),
    ] {
        let outcome = service.run(&format!("link attach xdp 5 eth0 -p 50 -n {path}"));
        assert_eq!(outcome.code, 1, "{outcome:?}");
        let expected = format!(
            "bpfman: error: resolve: network namespace \"{path}\" {cause}; \
             give a file like /run/netns/NAME or /proc/PID/ns/net\n"
        );
        assert_eq!(outcome.errors, expected);
    }
    // Nothing more was asked than whether the program fits.
    assert_eq!(
        service.requests()[5..],
        [const { ClientRequest::GetProgram { program_id: 5 } }; 3]
    );
}
