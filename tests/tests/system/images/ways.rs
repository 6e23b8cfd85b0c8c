//! Ways to a registry: its name, a proxy, a mirror; and what its users have in their files.

use super::canary::{HASHED, PAIR};
use super::{Place, UNSIGNED};
use bpfman_tests::ctl::{Run, ctl_with};
use bpfman_tests::registry::{Registry, available};
use bpfman_tests::require;
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// A name that is not this machine's, so that TLS and credentials matter. Nobody has it (RFC 6761).
const NAME: &str = "registry.test";

/// A certificate for [`NAME`] and its key, in files; what the service is told of it.
struct Certified {
    files: bpfman_tests::fixture::Objects,
    authority: String,
}

impl Certified {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).expect("a name");
        let files = bpfman_tests::fixture::Objects::new();
        let authority = files.file("ca.pem", made.cert.pem().as_bytes());
        files.file("key.pem", made.signing_key.serialize_pem().as_bytes());
        Self {
            authority: authority.display().to_string(),
            files,
        }
    }

    fn configuration(&self, more: &str) -> String {
        format!(
            "{UNSIGNED}[registries]\nca_file = \"{}\"\n{more}",
            self.authority
        )
    }

    /// A registry with this certificate, and the port by which it is reached under its name.
    fn registry(&self, place: &Place, sections: &str) -> (Registry, String) {
        let key = self.files.file("unused", b"").with_file_name("key.pem");
        let tls = format!(
            "  tls:\n    certificate: {}\n    key: {}\n",
            self.authority,
            key.display()
        );
        let registry = place.registry(&tls, sections);
        let port = registry.address().rsplit(':').next().expect("a port");
        let named = format!("{NAME}:{port}");
        (registry, named)
    }
}

/// Answers every question for [`NAME`] with this machine's address, on the address that /etc/resolv.conf names; every
/// other with "no such name".
fn name_server(place: &Place) -> Result<(), String> {
    let text = fs::read_to_string("/etc/resolv.conf").map_err(|error| error.to_string())?;
    let address: IpAddr = text
        .lines()
        .find_map(|line| line.strip_prefix("nameserver ")?.trim().parse().ok())
        .ok_or("/etc/resolv.conf names no server")?;
    let netns = place.instance.netns();
    if !address.is_loopback() {
        netns.ip(&format!("address add {address} dev lo"));
    }
    netns.inside(|| {
        let socket = UdpSocket::bind((address, 53)).expect("the port of name servers");
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                // It may have stopped waiting.
                let _ = socket.send_to(&answer(&query[..length]), from);
            }
        });
    });
    Ok(())
}

/// The answer to a query with one question (RFC 1035, 4.1).
fn answer(query: &[u8]) -> Vec<u8> {
    let name = b"\x08registry\x04test\x00";
    let end = 12
        + query[12..]
            .iter()
            .position(|byte| *byte == 0)
            .expect("a name")
        + 5;
    let question = &query[12..end];
    let known = question.starts_with(name);
    let is_ipv4 = question[question.len() - 4..] == [0, 1, 0, 1];
    let answers = u8::from(known && is_ipv4);
    let mut reply = query[..2].to_vec();
    // An answer, recursion available; "no such name" for others.
    reply.extend([0x81, if known { 0x80 } else { 0x83 }]);
    reply.extend([0, 1, 0, answers, 0, 0, 0, 0]);
    reply.extend(question);
    if answers == 1 {
        // The name as in the question, an address, for a minute.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(Ipv4Addr::LOCALHOST.octets());
    }
    reply
}

/// A proxy that opens tunnels to one place, whatever it is asked for, and remembers that.
struct Tunnels {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    fn to(place: &Place, registry: &Registry) -> Self {
        let listener = place
            .instance
            .netns()
            .inside(|| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let address = listener.local_addr().expect("bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (to, kept) = (registry.address().to_owned(), Arc::clone(&asked));
        place.instance.netns().inside(|| {
            thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let (to, kept) = (to.clone(), Arc::clone(&kept));
                    thread::spawn(move || tunnel(client, &to, &kept));
                }
            });
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }
}

fn tunnel(mut client: TcpStream, to: &str, asked: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default().to_owned();
    asked.lock().expect("a lock").push(line);
    let server = TcpStream::connect(to).expect("the registry");
    client
        .write_all(b"HTTP/1.1 200 Connected\r\n\r\n")
        .expect("answered");
    let (mut from_client, mut to_server) = (
        client.try_clone().expect("a descriptor"),
        server.try_clone().expect("a descriptor"),
    );
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    let _ = std::io::copy(&mut from_server, &mut to_client);
}

/// Pulls with something in the environment, as a user's shell would have it.
fn pull_with(place: &Place, environment: &[(&str, &str)], image: &str) -> Run {
    let always = ["image", "pull", image, "--pull-policy", "Always"];
    ctl_with(&place.instance.runtime_dir(), environment, &always)
}

#[test]
fn a_name_is_looked_up_and_the_users_files_say_who_asks() {
    require!(available());
    let certified = Certified::new();
    let place = Place::new(&certified.configuration(""));
    require!(name_server(&place));
    let users = certified.files.file("htpasswd", HASHED.as_bytes());
    let (registry, named) = certified.registry(
        &place,
        &format!(
            "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            users.display()
        ),
    );
    let (user, password) = ("somebody", "canary-8f1bd1c6-secret");
    place.copy(
        &place.layout(),
        &registry.image("acme/counter:v1"),
        &["--dest-creds", &format!("{user}:{password}")],
    );
    let image = format!("{named}/acme/counter:v1");

    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let write = |path: &str, text: &str, mode: u32| {
        let path = home.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        path
    };
    let home_text = home.display().to_string();
    let path = format!("{home_text}/bin:/usr/bin:/bin");
    // Nothing of the user who runs the test.
    let usual = [
        ("HOME", home_text.as_str()),
        ("PATH", path.as_str()),
        ("XDG_RUNTIME_DIR", ""),
        ("REGISTRY_AUTH_FILE", ""),
        ("DOCKER_CONFIG", ""),
    ];
    let usual = &usual[..];
    let anonymous = pull_with(&place, usual, &image).refused();
    assert!(anonymous.contains("refuses access (401)"), "{anonymous}");

    // A credential helper of Docker.
    let said = json!({ "ServerURL": named, "Username": user, "Secret": password });
    write(
        "bin/docker-credential-test",
        &format!("#!/bin/sh\nread -r name\n[ \"$name\" = {named} ] || exit 1\necho '{said}'\n"),
        0o755,
    );
    let helpers = json!({ "credHelpers": { (named.as_str()): "test" } });
    let docker = write(".docker/config.json", &helpers.to_string(), 0o600);
    pull_with(&place, usual, &image).ok();
    fs::remove_file(docker).expect("removed");

    // What podman and Docker write by themselves, each in its place.
    let right = json!({ "auths": { (named.as_str()): { "auth": PAIR } } }).to_string();
    let wrong = json!({ "auths": { (named.as_str()): { "auth": "c29tZWJvZHk6d3Jvbmc=" } } });
    for place_of_file in [".docker/config.json", ".config/containers/auth.json"] {
        let file = write(place_of_file, &right, 0o600);
        pull_with(&place, usual, &image).ok();
        fs::remove_file(file).expect("removed");
    }
    let file = write("elsewhere.json", &right, 0o600).display().to_string();
    let explicit = [&usual[..2], &[("REGISTRY_AUTH_FILE", file.as_str())]].concat();
    // The first file that exists counts, not the next.
    write(".config/containers/auth.json", &wrong.to_string(), 0o600);
    pull_with(&place, &explicit, &image).ok();
    let refused = pull_with(&place, usual, &image).refused();
    assert!(refused.contains("check user and password"), "{refused}");

    let unknown = pull_with(&place, usual, "other.test/acme/counter:v1").refused();
    assert!(unknown.contains("cannot be reached"), "{unknown}");
}

#[test]
fn a_proxy_is_used_by_the_service_as_configured_and_by_the_user_as_in_the_environment() {
    require!(available());
    let certified = Certified::new();
    let mut place = Place::new("");
    let layout = place.layout();
    let (registry, named) = certified.registry(&place, "");
    place.copy(&layout, &registry.image("acme/counter:v1"), &[]);
    let image = format!("{named}/acme/counter:v1");
    let tunnels = Tunnels::to(&place, &registry);
    let proxy = format!("http://{}", tunnels.address);

    let restart = |place: &mut Place, more: &str| {
        let (folder, netns) = place.instance.place();
        place.instance.stop();
        let text = certified.configuration(more);
        let file = place.objects.file("bpfman.toml", text.as_bytes());
        let file = file.display().to_string();
        place.instance =
            bpfman_tests::instance::Instance::start_in(folder, netns, &["--config", &file]);
    };
    // Nobody knows the name but the proxy.
    restart(&mut place, &format!("https_proxy = \"{proxy}\"\n"));
    place.load(&image, &[]).json();
    let asked = tunnels.asked();
    let connect = format!("CONNECT {named} HTTP/1.1");
    assert!(
        !asked.is_empty() && asked.iter().all(|line| *line == connect),
        "{asked:?}"
    );
    // A registry on this machine is never asked through it.
    let plain = place.registry("", "");
    place.copy(&layout, &plain.image("acme/counter:v1"), &[]);
    place.load(&plain.image("acme/counter:v1"), &[]).json();

    restart(
        &mut place,
        &format!("https_proxy = \"{proxy}\"\nno_proxy = \"{NAME}\"\n"),
    );
    let always = ["--pull-policy", "Always"];
    let refused = place.load(&image, &always).refused();
    assert!(
        refused.contains("cannot be reached") || refused.contains("in time"),
        "{refused}"
    );
    assert_eq!(tunnels.asked().len(), asked.len());

    // What the user does without the service goes where the user's environment says.
    let inspect = |more: &[(&str, &str)]| {
        let authority = ("SSL_CERT_FILE", certified.authority.as_str());
        let environment = [&[authority], more].concat();
        let runtime_dir = place.instance.runtime_dir();
        place
            .instance
            .netns()
            .inside(|| ctl_with(&runtime_dir, &environment, &["image", "inspect", &image]))
    };
    let through = ("HTTPS_PROXY", proxy.as_str());
    assert_eq!(inspect(&[through]).json()["reference"], image.as_str());
    assert!(tunnels.asked().len() > asked.len());
    inspect(&[through, ("NO_PROXY", NAME)]).refused();
    inspect(&[]).refused();
}

#[test]
fn a_mirror_stands_in_for_a_registry_that_is_out_of_reach_with_its_signatures() {
    require!(available());
    let key = rcgen::KeyPair::generate().expect("randomness");
    let trust = tempfile::tempdir().expect("a directory");
    fs::set_permissions(trust.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::write(trust.path().join("a.pub"), key.public_key_pem()).expect("a file");
    let signed = format!(
        "[signing]\ntrust_dir = \"{}\"\nkeys = [\"a.pub\"]\n",
        trust.path().display()
    );
    let mut place = Place::new(&signed);
    let registry = place.registry("", "");
    let objects = bpfman_tests::fixture::Objects::new();
    let sign_key = objects.file("sign.key", key.serialize_pem().as_bytes());
    let sign_key = sign_key.display().to_string();
    let object = objects.object("counter").display().to_string();
    let bpfmanctl = bpfman_tests::binaries::program("bpfmanctl");
    // Made for the registry, kept in its mirror under a folder of its own.
    let image = |name: &str| format!("{NAME}/acme/{name}:v1");
    for (name, flags) in [
        ("signed", &["--sign-key", &sign_key][..]),
        ("unsigned", &[]),
    ] {
        let layout = Path::new(&object).with_file_name(format!("{name}.tar"));
        let layout = layout.display().to_string();
        let made = image(name);
        let build = ["image", "build", &made, &object, "--save", &layout];
        place.run(&bpfmanctl, &[&build[..], flags].concat());
        let copy = registry.image(&format!("copies/acme/{name}:v1"));
        place.run(&bpfmanctl, &["image", "push", &copy, &layout]);
    }
    let (folder, netns) = place.instance.place();
    place.instance.stop();
    let text = format!(
        "{signed}[registries.mirrors]\n\"{NAME}\" = [\"127.0.0.1:1\", \"{}/copies\"]\n",
        registry.address()
    );
    let file = place.objects.file("bpfman.toml", text.as_bytes());
    let file = file.display().to_string();
    place.instance =
        bpfman_tests::instance::Instance::start_in(folder, netns, &["--config", &file]);
    let loaded = place.load(&image("signed"), &[]).json();
    let source = &loaded["programs"][0]["record"]["load"]["image_source"];
    assert_eq!(source["url"], image("signed"));
    // That the mirror has no signature does not mean that there is none.
    let refused = place.load(&image("unsigned"), &[]).refused();
    assert!(
        refused.contains(NAME) && (refused.contains("reached") || refused.contains("in time")),
        "{refused}"
    );
}
