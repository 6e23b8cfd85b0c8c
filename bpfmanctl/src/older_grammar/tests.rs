//! Command lines of 0.6 and what they become.

use crate::cli::Cli;
use clap::CommandFactory;

fn translated(line: &str) -> String {
    let words = std::iter::once("bpfman")
        .chain(line.split_whitespace())
        .map(Into::into)
        .collect();
    let words = super::translate(words, &Cli::command());
    words[1..]
        .iter()
        .map(|word| word.to_str().unwrap())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The table of the commands of 0.6 with what they are called today.
#[test]
fn every_command_has_its_successor() {
    for (older, today) in [
        (
            "load file -p P --programs xdp:b tc:d",
            "program load file P --programs xdp:b --programs tc:d",
        ),
        (
            "load file --programs fentry:b:c -g a=01 b=02 --path=P -m k=v,l=w -a app --map-owner-id 5",
            "program load file P --programs fentry:b:c --global a=01 --global b=02 -m k=v,l=w -a app --map-owner-id 5",
        ),
        (
            "load image -i U --programs xdp:b -r B64 -p Always",
            "program load image U --programs xdp:b --registry-auth B64 -p Always",
        ),
        ("unload 5", "program unload 5"),
        ("detach 7", "link detach 7"),
        ("attach 5 xdp -i eth0 -p 50", "link attach xdp 5 eth0 -p 50"),
        (
            "attach 5 xdp --proceed-on pass drop --iface eth0 --priority 50 -n /run/netns/x",
            "link attach xdp 5 eth0 --proceed-on pass --proceed-on drop --priority 50 -n /run/netns/x",
        ),
        (
            "attach 5 tc -d ingress -i eth0 -p 50",
            "link attach tc 5 eth0 ingress -p 50",
        ),
        (
            "attach 5 tcx -i eth0 --direction=egress -p50",
            "link attach tcx 5 eth0 egress -p50",
        ),
        (
            "attach 5 tracepoint -t g/n -m k=v",
            "link attach tracepoint 5 g/n -m k=v",
        ),
        (
            "attach 5 kprobe -f FN -o 8",
            "link attach kprobe 5 FN --offset 8",
        ),
        (
            "attach 5 uprobe -f FN -t T -p 1 -c 2 -o3",
            "link attach uprobe 5 T -f FN --pid 1 --container-pid 2 --offset 3",
        ),
        ("attach 5 fentry", "link attach fentry 5"),
        ("attach 5 fexit -m k=v", "link attach fexit 5 -m k=v"),
        ("list programs", "program list"),
        ("list program -a", "program list -a"),
        (
            "list programs -p probe --application a -m k=v",
            "program list --program-type kprobe,kretprobe,uprobe,uretprobe,kprobe_multi,kretprobe_multi,uprobe_multi,uretprobe_multi,usdt --application a -m k=v",
        ),
        ("list links -p tc", "link list --program-type tc,tcx,netkit"),
        (
            "list programs --all -p sched-act",
            "program list --all --program-type schedact",
        ),
        (
            "list programs -p socket-filter -p unspec,xdp",
            "program list --program-type socketfilter --program-type unspecifiedprogram,xdp",
        ),
        (
            "list programs -p kretprobe,nonsense-type",
            "program list --program-type kretprobe,nonsense-type",
        ),
        (
            "list link --program-type=xdp",
            "link list --program-type xdp",
        ),
        (
            "list programs -p sk-lookup",
            "program list --program-type sk_lookup",
        ),
        (
            "image pull -i U -r B64 -p Always",
            "image pull U --registry-auth B64 -p Always",
        ),
        (
            "image build -t T -f Containerfile.bytecode -r docker -b a.o",
            "image build T a.o",
        ),
        (
            "image build --bc-amd64-el a.o --bc-s390x-eb=b.o --tag T --runtime podman",
            "image build T linux/amd64=a.o linux/s390x=b.o",
        ),
        ("image build -c DIR -t T", "image build T -c DIR"),
        (
            "image generate-build-args -b a.o",
            "image generate-build-args a.o",
        ),
        (
            "image generate-build-args --bc-ppc64-eb a.o -c DIR",
            "image generate-build-args linux/ppc64=a.o -c DIR",
        ),
        ("--csi-support", "serve --csi-support"),
        ("--csi-support=true", "serve --csi-support=true"),
        (
            "--csi-support --socket-path /s",
            "serve --csi-support --socket-path /s",
        ),
    ] {
        assert_eq!(translated(older), today, "{older}");
    }
}

#[test]
fn flags_of_today_are_taken_as_they_are() {
    assert_eq!(
        translated("--runtime-dir /x load file --maps-mode 0640 -p P -o json --programs a:b"),
        "--runtime-dir /x program load file P --maps-mode 0640 -o json --programs a:b"
    );
    assert_eq!(
        translated("attach 5 xdp --strategy fused -i e -p 1"),
        "link attach xdp 5 e --strategy fused -p 1"
    );
    assert_eq!(translated("attach 5 sk_lookup"), "link attach sk_lookup 5");
}

#[test]
fn what_is_missing_is_not_taken_from_elsewhere() {
    assert_eq!(
        translated("attach 5 tc -d ingress -p 50"),
        "link attach tc 5 -p 50"
    );
    assert_eq!(translated("load file -p"), "program load file");
    assert_eq!(translated("image build -b a.o"), "image build");
    assert_eq!(
        translated("image build --bc-arm-el a.o --save S"),
        "image build --save S"
    );
    assert_eq!(translated("attach"), "link attach");
    assert_eq!(translated("attach 5"), "link attach");
    assert_eq!(translated("attach 5 --help"), "link attach --help");
    assert_eq!(translated("load"), "program load");
}

#[test]
fn help_is_of_todays_command() {
    assert_eq!(translated("load file --help"), "program load file --help");
    assert_eq!(translated("detach --help"), "link detach --help");
    assert_eq!(translated("attach xdp --help"), "link attach --help");
    assert_eq!(translated("attach 5 xdp -h"), "link attach xdp 5 -h");
}

#[test]
fn what_is_no_command_of_0_6_stays() {
    for line in [
        "",
        "help",
        "program list",
        "link attach xdp 5 eth0 -p 50",
        "get program 5",
        "load counter.o",
        "list",
        "list maps",
        "--runtime-dir",
        "-- load file",
        "--log load status",
        "image pull U -p Always -o json",
        "image build U a.o b.o --save S",
        "image build --sign-key K U linux/arm=a.o",
        "image generate-build-args a.o -o json",
        "image inspect U",
    ] {
        assert_eq!(translated(line), line);
    }
}

proptest::proptest! {
    #[test]
    fn any_words_are_translated(words in proptest::collection::vec(
        "load|file|image|build|attach|detach|list|programs|help|-p|-i|-t|-b|--bc-arm-el|--programs|--programs=|-o|5|xdp|tc|--|-|-x|",
        0..8,
    )) {
        translated(&words.join(" "));
    }
}
