//! A registry that does what it is told, also what no registry should.

use flate2::Compression;
use flate2::write::GzEncoder;
use oci::Digest;
use oci::media_type::{CONFIG, LAYER_GZIP, MANIFEST};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tar::{Builder, EntryType, Header};

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What `Content-Length` says, if it is not the truth; `None` in it leaves the header out.
    pub(crate) length: Option<Option<u64>>,
    /// After so many bytes of the whole answer nothing more comes.
    pub(crate) cut: Option<Cut>,
}

/// How an answer ends too early.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Closed(usize),
    Silent(usize),
    /// The body is followed by zeros without end.
    Endless,
}

impl Answer {
    pub(crate) fn new(status: u16, media_type: &str, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), media_type.to_owned())],
            body,
            length: None,
            cut: None,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::new(307, "text/plain", Vec::new()).header("location", to)
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) head: String,
}

impl Seen {
    /// Whether credentials were shown.
    pub(crate) fn authorized(&self) -> bool {
        self.head
            .to_ascii_lowercase()
            .contains("\r\nauthorization:")
    }
}

type Answers = dyn Fn(&Seen) -> Answer + Send + Sync;

/// The registry. Its threads end with the test.
pub(crate) struct Hostile {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Hostile {
    pub(crate) fn start(answers: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(None, answers)
    }

    /// Over TLS, where there is a configuration for it.
    pub(crate) fn start_with(
        tls: Option<Arc<ServerConfig>>,
        answers: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, answers): (_, Arc<Answers>) = (Arc::clone(&seen), Arc::new(answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answers, tls) = (Arc::clone(&kept), Arc::clone(&answers), tls.clone());
                std::thread::spawn(move || match tls {
                    None => converse(stream, &seen, &*answers),
                    Some(config) => {
                        if let Ok(connection) = ServerConnection::new(config) {
                            converse(StreamOwned::new(connection, stream), &seen, &*answers);
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("a lock").clone()
    }

    pub(crate) fn image(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }
}

/// One request for each connection. What fails here is what the other side sees, too.
fn converse(mut stream: impl Read + Write, seen: &Mutex<Vec<Seen>>, answers: &Answers) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
        if head == [0x16] {
            // The beginning of TLS.
            let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
            let _ = stream.flush();
            // Read on, so that the answer is not lost to a reset.
            let _ = stream.read(&mut [0; 4096]);
            return;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let request = Seen { path, head };
    seen.lock().expect("a lock").push(request.clone());
    let _ = send(&mut stream, &answers(&request));
}

fn send(stream: &mut (impl Read + Write), answer: &Answer) -> std::io::Result<()> {
    let mut bytes = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", answer.status).into_bytes();
    for (name, value) in &answer.headers {
        bytes.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    let length = answer.length.unwrap_or(Some(answer.body.len() as u64));
    if let Some(length) = length {
        bytes.extend(format!("content-length: {length}\r\n").into_bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(&answer.body);
    match answer.cut {
        None => stream.write_all(&bytes)?,
        Some(Cut::Closed(at)) => stream.write_all(&bytes[..at.min(bytes.len())])?,
        Some(Cut::Silent(at)) => {
            stream.write_all(&bytes[..at.min(bytes.len())])?;
            stream.flush()?;
            // Until the other side has had enough.
            let _ = stream.read(&mut [0; 1]);
        }
        Some(Cut::Endless) => {
            stream.write_all(&bytes)?;
            loop {
                stream.write_all(&[0; 4096])?;
            }
        }
    }
    stream.flush()?;
    std::thread::sleep(Duration::from_millis(1));
    Ok(())
}

/// An image, each part of which may be changed before it is served.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) layer: Vec<u8>,
    pub(crate) layer_type: String,
    pub(crate) config: Value,
    pub(crate) manifest: Value,
}

impl Image {
    /// One that is in order.
    pub(crate) fn good() -> Self {
        Self::of(gzip(&archive(&[(
            "counter.o",
            EntryType::Regular,
            bpf::COUNTER,
        )])))
    }

    /// One with this layer.
    pub(crate) fn of(layer: Vec<u8>) -> Self {
        let host = oci::manifest::Platform::host();
        let mut image = Self {
            layer,
            layer_type: LAYER_GZIP.to_owned(),
            config: json!({ "architecture": host.architecture, "os": "linux", "config": { "Labels": {
                "io.ebpf.programs": "{\"xdp_count\":\"xdp\"}", "io.ebpf.maps": "{}" } } }),
            manifest: Value::Null,
        };
        image.seal();
        image
    }

    /// With this label.
    pub(crate) fn labelled(label: &str) -> Self {
        let mut image = Self::good();
        image.config["config"]["Labels"]["io.ebpf.programs"] = json!(label);
        image.seal();
        image
    }

    /// Writes the manifest anew after a change.
    pub(crate) fn seal(&mut self) {
        let config = self.config.to_string().into_bytes();
        self.manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": CONFIG, "digest": Digest::of(&config), "size": config.len() },
            "layers": [{ "mediaType": self.layer_type, "digest": Digest::of(&self.layer), "size": self.layer.len() }],
        });
    }

    pub(crate) fn manifest_bytes(&self) -> Vec<u8> {
        self.manifest.to_string().into_bytes()
    }

    /// Answers for whatever is asked about it: the tag and the digest, and its content.
    pub(crate) fn answers(&self) -> BTreeMap<String, Answer> {
        let (manifest, config) = (self.manifest_bytes(), self.config.to_string().into_bytes());
        let mut answers = BTreeMap::new();
        let answer = Answer::new(200, MANIFEST, manifest.clone());
        answers.insert("manifests/v1".to_owned(), answer.clone());
        answers.insert(format!("manifests/{}", Digest::of(&manifest)), answer);
        for bytes in [config, self.layer.clone()] {
            let digest = Digest::of(&bytes);
            answers.insert(
                format!("blobs/{digest}"),
                Answer::new(200, "application/octet-stream", bytes),
            );
        }
        answers
    }

    pub(crate) fn layer_path(&self) -> String {
        format!("blobs/{}", Digest::of(&self.layer))
    }

    pub(crate) fn config_path(&self) -> String {
        format!("blobs/{}", Digest::of(self.config.to_string().as_bytes()))
    }
}

/// Serves these answers under `/v2/a/b/`, and 404 for everything else.
pub(crate) fn serve(answers: BTreeMap<String, Answer>) -> impl Fn(&Seen) -> Answer + Send + Sync {
    move |seen| {
        let path = seen.path.strip_prefix("/v2/a/b/").unwrap_or_default();
        answers
            .get(path)
            .cloned()
            .unwrap_or_else(|| Answer::new(404, "application/json", b"{}".to_vec()))
    }
}

/// An archive; paths are written as they are, which the library's own methods would refuse.
pub(crate) fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, data) in entries {
        let mut header = Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/shadow").expect("a name");
        }
        header.set_cksum();
        builder.append(&header, *data).expect("appended");
    }
    builder.into_inner().expect("an archive")
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}
