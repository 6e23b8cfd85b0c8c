//! What an image is pulled into: a cache of its own, and rules.

#![allow(dead_code, reason = "each test uses other parts")]

use image_worker::cache::Cache;
use image_worker::pull::{Pulled, Shown, Wanted, pull};
use image_worker::rules::Rules;
use ipc::messages::failure::Failure;
use ipc::messages::pull::{ImageSettings, PullPolicy};
use oci::registry::Credentials;
use std::fs;
use std::sync::Mutex;
use tempfile::TempDir;

pub(crate) struct World {
    directory: TempDir,
    cache: Mutex<Cache>,
    pub(crate) rules: Rules,
}

impl World {
    /// One that accepts what nobody signed.
    pub(crate) fn new() -> Self {
        let mut settings = ImageSettings::default();
        settings.signing.allow_unsigned = true;
        Self::with(settings)
    }

    pub(crate) fn with(settings: ImageSettings) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self {
            cache: Mutex::new(Cache::open(directory.path(), u64::MAX).expect("a cache")),
            rules: Rules::new(settings),
            directory,
        }
    }

    pub(crate) async fn pull(
        &self,
        url: &str,
        credentials: Option<Credentials>,
    ) -> Result<Pulled, Failure> {
        self.pull_as(PullPolicy::IfNotPresent, url, credentials)
            .await
    }

    pub(crate) async fn pull_as(
        &self,
        policy: PullPolicy,
        url: &str,
        credentials: Option<Credentials>,
    ) -> Result<Pulled, Failure> {
        let wanted = Wanted {
            url: url.to_owned(),
            reference: url.parse().expect("a reference"),
            policy,
            credentials,
        };
        pull(&self.cache, &self.rules, &wanted, &Shown::default()).await
    }

    /// Files of the cache.
    pub(crate) fn files(&self) -> usize {
        ["content", "images", "evidence", "new"]
            .iter()
            .map(|folder| {
                fs::read_dir(self.directory.path().join(folder))
                    .expect("a folder")
                    .count()
            })
            .sum()
    }
}
