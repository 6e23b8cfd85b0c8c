//! The cache under crashes, damage and want of room.

use super::*;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const QUOTA: u64 = 10_000;

fn open(directory: &TempDir) -> Cache {
    Cache::open(directory.path(), QUOTA).expect("a cache")
}

/// An image whose layer has so many bytes.
struct Image {
    reference: String,
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
}

impl Image {
    fn new(name: &str, bytes: usize) -> Self {
        Self {
            reference: format!("quay.io/a/{name}:latest"),
            manifest: format!("manifest of {name}").into_bytes(),
            config: b"shared configuration".to_vec(),
            layer: name.bytes().cycle().take(bytes).collect(),
        }
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    fn store(&self, cache: &mut Cache, at: i64) -> io::Result<()> {
        cache.store(Parcel {
            record: Record {
                reference: self.reference.clone(),
                digest: *self.digest().as_bytes(),
                manifest: *self.digest().as_bytes(),
                media_type: oci::media_type::MANIFEST.to_owned(),
                config: Some(*Digest::of(&self.config).as_bytes()),
                layer: *Digest::of(&self.layer).as_bytes(),
                bytes: 0,
                pulled_at: at,
                used_at: at,
            },
            content: [&self.manifest, &self.config, &self.layer]
                .map(|bytes| (Digest::of(bytes), bytes.as_slice()))
                .into(),
            evidence: b"signatures",
        })
    }
}

fn files(directory: &TempDir) -> Vec<PathBuf> {
    ["content", "images", "evidence", "new"]
        .iter()
        .flat_map(|folder| fs::read_dir(directory.path().join(folder)).expect("a folder"))
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

#[test]
fn what_is_put_in_comes_out_also_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let image = Image::new("xdp", 100);
    image.store(&mut open(&directory), 1).expect("stored");
    let mut cache = open(&directory);
    let contents = cache.read(&image.reference, 2).expect("there");
    assert_eq!(contents.layer, image.layer);
    assert_eq!(contents.config, Some(image.config.clone()));
    assert_eq!(contents.manifest, image.manifest);
    assert_eq!(contents.evidence, b"signatures");
    let record = cache.find(&image.reference).expect("a record");
    assert_eq!(
        (record.bytes, record.pulled_at, record.used_at),
        (16 + 20 + 100 - 1 + 10, 1, 2)
    );
    assert!(cache.read("quay.io/a/other:latest", 2).is_none());
}

#[test]
fn damage_anywhere_is_noticed_and_forgotten() {
    let directory = tempfile::tempdir().expect("a directory");
    let image = Image::new("xdp", 100);
    image.store(&mut open(&directory), 1).expect("stored");
    for file in files(&directory) {
        let good = fs::read(&file).expect("readable");
        let mut changed = good.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        for bad in [
            changed,
            good[..last].to_vec(),
            vec![],
            vec![0; 20 * 1024 * 1024],
        ] {
            fs::write(&file, bad).expect("written");
            let mut cache = open(&directory);
            assert!(
                cache.read(&image.reference, 2).is_none(),
                "{}",
                file.display()
            );
            assert!(cache.find(&image.reference).is_none());
            // Fetched again it is whole.
            image.store(&mut cache, 3).expect("stored");
            assert!(cache.read(&image.reference, 4).is_some());
        }
    }
}

#[test]
fn a_crash_leaves_nothing_that_counts() {
    let directory = tempfile::tempdir().expect("a directory");
    let image = Image::new("xdp", 100);
    let mut cache = open(&directory);
    image.store(&mut cache, 1).expect("stored");
    let whole = files(&directory).len();
    // Written and not yet renamed; renamed and not yet pointed to; a record that was not finished.
    fs::write(directory.path().join("new/7"), "half").expect("written");
    fs::write(directory.path().join("content").join("00".repeat(32)), "x").expect("written");
    fs::write(directory.path().join("evidence").join("00".repeat(32)), "x").expect("written");
    fs::write(directory.path().join("images").join("00".repeat(32)), "x").expect("written");
    let mut cache = open(&directory);
    assert_eq!(files(&directory).len(), whole);
    assert!(cache.read(&image.reference, 2).is_some());
}

#[test]
fn the_least_recently_used_goes_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cache = open(&directory);
    let images = ["a", "b", "c", "d"].map(|name| Image::new(name, 3000));
    for (at, image) in (1..).zip(&images[..3]) {
        image.store(&mut cache, at).expect("stored");
    }
    assert!(cache.read(&images[0].reference, 10).is_some());
    images[3].store(&mut cache, 11).expect("stored");
    let left: Vec<&str> = cache
        .list()
        .map(|record| record.reference.as_str())
        .collect();
    assert_eq!(
        left,
        [
            "quay.io/a/a:latest",
            "quay.io/a/c:latest",
            "quay.io/a/d:latest"
        ]
    );
    // What others share stays.
    assert!(cache.read(&images[0].reference, 12).is_some());
    // One that alone is larger than the quota is kept until the next one comes.
    let large = Image::new("large", QUOTA as usize + 1);
    large.store(&mut cache, 13).expect("stored");
    assert_eq!(cache.list().count(), 1);
    assert!(cache.read(&large.reference, 14).is_some());
    // A smaller quota counts from the next start on.
    drop(cache);
    assert_eq!(
        Cache::open(directory.path(), 10)
            .expect("a cache")
            .list()
            .count(),
        0
    );
    assert!(files(&directory).is_empty());
}

#[test]
fn a_reference_that_moved_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cache = open(&directory);
    let mut image = Image::new("xdp", 100);
    image.store(&mut cache, 1).expect("stored");
    let before = files(&directory).len();
    image.manifest = b"another manifest".to_vec();
    image.layer = vec![9; 50];
    image.store(&mut cache, 2).expect("stored");
    assert_eq!(files(&directory).len(), before);
    assert_eq!(
        cache.read(&image.reference, 3).expect("there").layer,
        image.layer
    );
}

#[test]
fn pruning_keeps_what_is_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cache = open(&directory);
    let images = ["a", "b"].map(|name| Image::new(name, 1000));
    for image in &images {
        image.store(&mut cache, 1).expect("stored");
    }
    let (gone, bytes) = cache
        .prune(&[*images[0].digest().as_bytes()])
        .expect("pruned");
    assert!(gone == 1 && bytes > 1000, "{gone} {bytes}");
    assert!(cache.read(&images[0].reference, 2).is_some());
    assert_eq!(cache.prune(&[]).expect("pruned").0, 1);
    assert!(files(&directory).is_empty());
}

#[test]
fn the_number_of_images_is_bounded() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cache = Cache::open(directory.path(), u64::MAX).expect("a cache");
    for number in 0..=CACHED_IMAGES {
        let image = Image::new(&number.to_string(), 1);
        let record = Record {
            reference: image.reference.clone(),
            digest: [1; 32],
            manifest: [1; 32],
            media_type: String::new(),
            config: None,
            layer: [1; 32],
            bytes: 1,
            pulled_at: number as i64,
            used_at: number as i64,
        };
        cache.records.insert(image.reference, record);
        let over = cache.records.len() > CACHED_IMAGES;
        cache
            .images
            .write(&cache.records.values().next().expect("one").file(), b"")
            .expect("written");
        if over {
            cache.evict(None).expect("evicted");
        }
        assert!(cache.records.len() <= CACHED_IMAGES);
    }
}

/// Tells the child where its cache is.
const CRASHING: &str = "BPFMAN_TEST_CRASHING_CACHE";

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "a test starts itself to be killed"
)]
fn killed_at_any_moment_it_is_whole_at_the_next_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut interrupted = 0;
    for round in 0..30 {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args([
                "--exact",
                "cache::tests::in_a_child_that_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(CRASHING, directory.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("started");
        // Each image that is stored is said; after some of them the child ends wherever it is.
        let mut said = child.stdout.take().expect("its output");
        let mut byte = [0];
        let mut stored = 0;
        while stored < 2 + round % 3 {
            io::Read::read_exact(&mut said, &mut byte).expect("the child stores");
            stored += usize::from(byte == *b"!");
        }
        std::thread::sleep(std::time::Duration::from_micros(round as u64 * 80));
        child.kill().expect("killed");
        child.wait().expect("waited");

        let left = files(&directory).len();
        let mut cache = open(&directory);
        interrupted += usize::from(files(&directory).len() != left);
        let known: Vec<String> = cache
            .list()
            .map(|record| record.reference.clone())
            .collect();
        assert!(!known.is_empty(), "round {round}: what was whole is gone");
        for reference in known {
            let name = reference.trim_start_matches("quay.io/a/");
            let contents = cache.read(&reference, 1).expect("what is listed is whole");
            let first = contents.layer.first().copied();
            assert_eq!(first, name.bytes().next(), "round {round}: {reference}");
        }
        let new = fs::read_dir(directory.path().join("new")).expect("a folder");
        assert_eq!(new.count(), 0, "round {round}");
    }
    assert!(interrupted > 0, "no kill came while something was written");
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "where the test that started it says"
)]
#[ignore = "run by killed_at_any_moment_it_is_whole_at_the_next_start"]
fn in_a_child_that_is_killed() {
    let directory = std::env::var_os(CRASHING).expect("where");
    let mut cache = Cache::open(directory.as_ref(), QUOTA).expect("a cache");
    // Replaced, shared, evicted: all that changes files.
    for number in 0_usize.. {
        let mut image = Image::new(
            ["a", "b", "c", "d", "e"][number % 5],
            1000 + number % 7 * 500,
        );
        image.manifest.push(number as u8);
        image.store(&mut cache, number as i64).expect("stored");
        print!("!");
        io::Write::flush(&mut io::stdout()).expect("said");
    }
}
