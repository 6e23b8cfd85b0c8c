//! Many who want the same, and registries that do not answer.

use super::{Place, UNSIGNED};
use bpfman_tests::instance::ask;
use bpfman_tests::registry::{Registry, available};
use bpfman_tests::require;
use ipc::limits::PULLS;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::failure::FailureCode;
use ipc::messages::pull::PullPolicy;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Counts what goes through to a registry.
pub(crate) struct Counted {
    pub(crate) address: String,
    blobs: Arc<AtomicUsize>,
    /// Nothing goes through while it is shut.
    pub(crate) is_open: Arc<AtomicBool>,
    /// Content comes in halves, with a moment between them.
    pub(crate) in_halves: Arc<AtomicBool>,
}

impl Counted {
    /// Forwards to a registry, one request for each connection, each only after a while, so that all are waiting.
    pub(crate) fn before(registry: &Registry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let blobs = Arc::new(AtomicUsize::new(0));
        let is_open = Arc::new(AtomicBool::new(true));
        let (to, counter) = (registry.address().to_owned(), Arc::clone(&blobs));
        let in_halves = Arc::new(AtomicBool::new(false));
        let (gate, halves) = (Arc::clone(&is_open), Arc::clone(&in_halves));
        // In the namespace of the thread that listens.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (to, counter) = (to.clone(), Arc::clone(&counter));
                let (gate, halves) = (Arc::clone(&gate), Arc::clone(&halves));
                thread::spawn(move || forward(client, &to, &counter, &gate, &halves));
            }
        });
        Self {
            address,
            blobs,
            is_open,
            in_halves,
        }
    }
}

fn forward(
    mut client: TcpStream,
    to: &str,
    blobs: &AtomicUsize,
    is_open: &AtomicBool,
    in_halves: &AtomicBool,
) {
    let mut head = vec![0; 8192];
    let read = client.read(&mut head).unwrap_or(0);
    if head[..read].starts_with(&[0x16]) {
        let _ = client.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        return;
    }
    let text = String::from_utf8_lossy(&head[..read]).into_owned();
    if text.contains("/blobs/") {
        blobs.fetch_add(1, Ordering::Relaxed);
    }
    thread::sleep(Duration::from_millis(200));
    while !is_open.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(10));
    }
    let text = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut server = TcpStream::connect(to).expect("the registry");
    server.write_all(text.as_bytes()).expect("forwarded");
    if text.contains("/blobs/") && in_halves.load(Ordering::Relaxed) {
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).expect("an answer");
        let (first, second) = answer.split_at(answer.len() * 3 / 4);
        // Whoever asked may have gone.
        let _ = client.write_all(first);
        thread::sleep(Duration::from_millis(700));
        let _ = client.write_all(second);
    }
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
fn thirty_two_loads_of_one_image_are_one_download() {
    require!(available());
    let place = Place::new(UNSIGNED);
    let registry = place.registry("", "");
    place.copy(&place.layout(), &registry.image("acme/counter:v1"), &[]);
    let counted = place.instance.netns().inside(|| Counted::before(&registry));
    let image = format!("{}/acme/counter:v1", counted.address);
    thread::scope(|scope| {
        let loads: Vec<_> = (0..32)
            .map(|_| scope.spawn(|| place.load(&image, &[]).json()))
            .collect();
        for load in loads {
            load.join().expect("loaded");
        }
    });
    // The configuration and the layer.
    assert_eq!(counted.blobs.load(Ordering::Relaxed), 2);
    assert_eq!(
        place
            .instance
            .ctl(&["program", "list", "-q"])
            .ok()
            .lines()
            .count(),
        32
    );
    place.instance.assert_no_drift();
}

#[test]
fn a_registry_that_hangs_delays_nobody() {
    require!(available());
    let place = Place::new(UNSIGNED);
    // Takes connections and never says anything.
    let silent = place
        .instance
        .netns()
        .inside(|| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let address = silent.local_addr().expect("bound").to_string();
    let pull = |number: usize| ClientRequest::PullImage {
        url: format!("{address}/acme/silent:v{number}"),
        policy: PullPolicy::Always,
    };
    // As many as may be waited for, over connections that nobody reads.
    let mut clients: Vec<_> = (0..4).map(|_| place.instance.client()).collect();
    for number in 0..PULLS {
        clients[number % 4]
            .send(number as u64 + 1, &pull(number), &[])
            .expect("sent");
    }
    thread::sleep(Duration::from_millis(500));
    let begin = Instant::now();
    let ids = place
        .instance
        .load(&place.objects.object("counter"), "xdp:xdp_count", &[]);
    assert_eq!(
        place.instance.ctl(&["program", "list", "-q"]).ok().trim(),
        ids[0].to_string()
    );
    place.instance.ctl(&["image", "list"]).ok();
    let id = ids[0].to_string();
    place.instance.ctl(&["program", "unload", &id]).ok();
    // Far below what a registry is given; how quick it is is measured elsewhere.
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "{:?}",
        begin.elapsed()
    );
    let mut another = place.instance.client();
    let ClientReply::Failed(failure) = ask(&mut another, &pull(PULLS)) else {
        panic!("one more than may be waited for");
    };
    assert_eq!(failure.code, FailureCode::ResourceExhausted, "{failure}");
}

#[test]
fn a_name_that_nobody_knows_is_looked_up_inside_the_sandbox() {
    let place = Place::new(UNSIGNED);
    let before = place.instance.process("image");
    let refused = place
        .load("registry.invalid/acme/counter:v1", &[])
        .refused();
    assert!(
        refused.contains("cannot be reached") || refused.contains("in time"),
        "{refused}"
    );
    let after = place.instance.process("image");
    assert_eq!(
        (before.pid, before.restarts),
        (after.pid, after.restarts),
        "killed by its sandbox"
    );
}
