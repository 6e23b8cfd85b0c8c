//! Secrets reach the worker that needs them, and remain nowhere.

use super::{Place, UNSIGNED};
use api_worker::proto::bytecode_location::Location;
use api_worker::proto::{
    BpfmanProgramType, BytecodeImage, BytecodeLocation, ListRequest, LoadRequest,
};
use bpfman_tests::grpc::{Grpc, load_request};
use bpfman_tests::registry::available;
use bpfman_tests::{require, wait};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;
use tonic::Code;

const USER: &str = "somebody";
const PASSWORD: &str = "canary-8f1bd1c6-secret";
/// base64 of both with the colon between.
pub(super) const PAIR: &str = "c29tZWJvZHk6Y2FuYXJ5LThmMWJkMWM2LXNlY3JldA==";

#[test]
fn credentials_are_found_nowhere_afterwards() {
    require!(available());
    let place = Place::new(UNSIGNED);
    let users = place.objects.file("htpasswd", HASHED.as_bytes());
    let registry = place.registry(
        "",
        &format!(
            "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            users.display()
        ),
    );
    let image = registry.image("acme/counter:v1");
    place.copy(
        &place.layout(),
        &image,
        &["--dest-creds", &format!("{USER}:{PASSWORD}")],
    );

    let anonymous = place.load(&image, &[]).refused();
    assert!(anonymous.contains("refuses access (401)"), "{anonymous}");
    let wrong = place
        .load(&image, &["--registry-auth", "c29tZWJvZHk6d3Jvbmc="])
        .refused();
    assert!(
        wrong.contains("refuses access (401)") && wrong.contains("check user and password"),
        "{wrong}"
    );
    place.load(&image, &["--registry-auth", PAIR]).json();
    place
        .load(
            &image,
            &["--registry-auth", PAIR, "--pull-policy", "Always"],
        )
        .json();

    // The same over gRPC, by connections that are open while it is looked for.
    let connections = [(); 4].map(|()| Grpc::to(&place.instance));
    for grpc in &connections {
        let loaded = grpc.load(request(&image, PASSWORD)).expect("it loads");
        let told = loaded.programs[0].info.as_ref().expect("info");
        let bytecode = told.bytecode.as_ref().expect("bytecode");
        assert_eq!(
            bytecode.location,
            request(&image, "").bytecode.and_then(|it| it.location)
        );
        let wrong = grpc.load(request(&image, "wrong")).expect_err("refused");
        assert_eq!(wrong.code(), Code::Internal, "{wrong}");
        grpc.pull(as_image(&image, PASSWORD)).expect("it is pulled");
        // Whatever buffer the password was in is not overwritten by the next request.
        grpc.list(ListRequest::default()).expect("a list");
    }

    let needles = [PASSWORD, &PAIR[4..24]];
    for process in place.instance.status() {
        if process.pid != 0 {
            for needle in needles {
                // A connection that had them ends when its last answer is taken.
                let gone = wait::until(Duration::from_secs(5), || {
                    in_memory(process.pid, needle.as_bytes())
                        .is_empty()
                        .then_some(())
                });
                assert!(
                    gone.is_some(),
                    "{} has it in memory: {:?}",
                    process.role,
                    in_memory(process.pid, needle.as_bytes())
                );
            }
        }
    }
    // Logs, store, plans, cache.
    let folder = place
        .instance
        .runtime_dir()
        .parent()
        .expect("a parent")
        .to_owned();
    for needle in needles {
        assert!(!place.instance.log().contains(needle));
        in_files(&folder, needle.as_bytes());
    }
    // The search finds what is there.
    let kept = std::hint::black_box(PASSWORD.to_owned());
    assert!(!in_memory(std::process::id(), kept.as_bytes()).is_empty());
}

/// As a client over gRPC asks for it; without a password, as it is told.
fn as_image(image: &str, password: &str) -> BytecodeImage {
    let user = if password.is_empty() { "" } else { USER };
    BytecodeImage {
        url: image.to_owned(),
        image_pull_policy: 0,
        username: Some(user.to_owned()),
        password: Some(password.to_owned()),
    }
}

fn request(image: &str, password: &str) -> LoadRequest {
    LoadRequest {
        bytecode: Some(BytecodeLocation {
            location: Some(Location::Image(as_image(image, password))),
        }),
        ..load_request(Path::new(""), &[("xdp_count", BpfmanProgramType::Xdp)])
    }
}

/// A line of htpasswd: bcrypt of the password, made once.
pub(super) const HASHED: &str =
    "somebody:$2b$05$abcdefghijklmnopqrstuuEWDi.Fr/1LdUMjOgNx/hvZncvOloPeC\n";

/// Names of the mappings of a process in which some bytes are.
fn in_memory(pid: u32, needle: &[u8]) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps");
    let mut memory = File::open(format!("/proc/{pid}/mem")).expect("memory");
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else {
            continue;
        };
        let (start, end) = range.split_once('-').expect("a range");
        let number = |text| u64::from_str_radix(text, 16).expect("a number");
        let (start, end) = (number(start), number(end));
        if !rights.starts_with("rw") || end - start > 1 << 30 {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(end - start).expect("fits")];
        let read = memory
            .seek(SeekFrom::Start(start))
            .and_then(|_| memory.read_exact(&mut bytes));
        if read.is_ok() && contains(&bytes, needle) {
            found.push(line.to_owned());
        }
    }
    found
}

fn in_files(folder: &Path, needle: &[u8]) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let kind = fs::symlink_metadata(&path).expect("there").file_type();
        if kind.is_dir() {
            in_files(&path, needle);
        } else if kind.is_file()
            && let Ok(bytes) = fs::read(&path)
        {
            assert!(!contains(&bytes, needle), "{} has it", path.display());
        }
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
