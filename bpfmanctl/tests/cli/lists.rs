//! Lists of programs and links, and what chooses their rows.

use crate::requests::replying;
use crate::samples;
use crate::service::Service;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::program::ProgramKind;

#[test]
fn lists_of_programs() {
    let mut second = samples::program_entry();
    second.record.program_id = 7;
    second.record.kind = ProgramKind::Tcx;
    second.attached = false;
    let service = replying(ClientReply::Programs(vec![
        samples::program_entry(),
        second,
    ]));

    let list = service.run("program list");
    assert_eq!((list.code, list.errors.as_str()), (0, ""));
    assert_eq!(
        list.output,
        "PROGRAM ID  TYPE  FUNCTION NAME  LINK IDS\n\
         7           tcx   pass           1 3\n\
         512         xdp   pass           1 3\n"
    );
    assert_eq!(service.run("program").output, list.output);
    assert_eq!(service.run("program -q").output, "7\n512\n");
    assert_eq!(service.run("program list -q -o json").output, "7\n512\n");
    assert_eq!(service.run("program list --attached -q").output, "512\n");
    assert_eq!(service.run("program list --unattached -q").output, "7\n");
    assert_eq!(service.run("program list --type tc,TCX -q").output, "7\n");
    assert_eq!(
        service.run("program list --type tcx -p xdp -q").output,
        "7\n512\n"
    );
    assert_eq!(
        service.run("program list -m owner=acme -q").output,
        "7\n512\n"
    );
    assert_eq!(service.run("program list -l owner!=acme -q").output, "");
    let none = service.run("program list --application shop");
    assert_eq!((none.code, none.output.as_str()), (0, ""));
    let none = service.run("program list --application shop -o json");
    assert_eq!(none.output, "{\n  \"programs\": []\n}\n");
    assert!(
        service
            .requests()
            .iter()
            .all(|request| *request == ClientRequest::ListPrograms)
    );
}

/// As the established command has it; who asks for everything is shown them, too.
#[test]
fn lists_leave_out_what_is_gone_from_the_kernel() {
    let mut gone = samples::program_entry();
    gone.record.program_id = 7;
    gone.kernel = None;
    let service = Service::start(move |_, request, _| match request {
        ClientRequest::ListPrograms => {
            ClientReply::Programs(vec![gone.clone(), samples::program_entry()])
        }
        _ => ClientReply::KernelPrograms(Vec::new()),
    });
    let list = service.run("program list -q");
    assert_eq!((list.output.as_str(), list.errors.as_str()), ("512\n", ""));
    let all = service.run("program list --all -o json").output;
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["programs"][0]["program_id"], 7);
    assert_eq!(all["programs"][0]["kernel"], serde_json::Value::Null);
    assert_eq!(all["programs"][1]["program_id"], 512);
    assert!(
        service
            .run("program list --all")
            .output
            .contains("pass (gone)")
    );
}

#[test]
fn lists_of_links() {
    let links = samples::links()
        .into_iter()
        .take(4)
        .map(samples::entry_of)
        .collect();
    let service = replying(ClientReply::Links(links));
    let list = service.run("link");
    assert_eq!(list.code, 0, "{list:?}");
    assert_eq!(list.output.lines().count(), 5);
    assert_eq!(service.run("link list -q").output, "1\n2\n3\n4\n");
    assert_eq!(
        service.run("link list --kind tcx,uretprobe -q").output,
        "2\n4\n"
    );
    assert_eq!(service.run("link list -p tracepoint -q").output, "3\n");
    assert_eq!(service.run("link list --program-id 1 -q").output, "");
    assert_eq!(
        service.run("link list -m owner=acme -q").output,
        "1\n2\n3\n4\n"
    );
    assert!(
        service
            .run("link list -o json")
            .output
            .starts_with("{\n  \"links\": [\n    {\n")
    );
}
