//! How far a download is, shown while the answer is awaited: bars on a terminal, lines elsewhere.
//!
//! A second connection asks the service; the answer that matters comes over the first. Images that are in the cache are
//! there before anything is shown.

use crate::client;
use crate::limits::PROGRESS_PAUSE;
use indicatif::{ProgressBar, ProgressStyle};
use ipc::messages::pull::Progress;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

/// Does something, and shows meanwhile how far the image is.
pub(crate) fn shown<T>(runtime_dir: &Path, url: &str, act: impl FnOnce() -> T) -> T {
    let (done, over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut display = Display::new();
            while over.recv_timeout(PROGRESS_PAUSE) == Err(RecvTimeoutError::Timeout) {
                let answer = client::connect(runtime_dir)
                    .and_then(|mut client| client.pull_progress(url.to_owned()));
                // Nothing depends on it: what is wrong with the service is said by the answer itself.
                if let Ok(progress) = answer {
                    display.show(&progress);
                }
            }
            display.end();
        });
        let answer = act();
        drop(done);
        answer
    })
}

enum Display {
    Terminal(Vec<ProgressBar>),
    /// Bytes of each layer that were last said.
    Lines(Vec<u64>),
}

impl Display {
    fn new() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Terminal(Vec::new())
        } else {
            Self::Lines(Vec::new())
        }
    }

    fn show(&mut self, progress: &[Progress]) {
        match self {
            Self::Terminal(bars) => {
                for part in &progress[bars.len().min(progress.len())..] {
                    let bar = ProgressBar::new(part.total);
                    if let Ok(style) =
                        ProgressStyle::with_template("{prefix} [{bar:30}] {bytes}/{total_bytes}")
                    {
                        bar.set_style(style);
                    }
                    bar.set_prefix(short(&part.what));
                    bars.push(bar);
                }
                for (bar, part) in bars.iter().zip(progress) {
                    bar.set_position(part.done);
                }
            }
            Self::Lines(said) => {
                for line in lines(said, progress) {
                    // Nobody is left to tell when the error stream fails.
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }
        }
    }

    fn end(self) {
        if let Self::Terminal(bars) = self {
            bars.iter().for_each(ProgressBar::finish_and_clear);
        }
    }
}

/// What is worth a line: a layer that has begun, and each half of it.
fn lines(said: &mut Vec<u64>, progress: &[Progress]) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, part) in progress.iter().enumerate() {
        let half = part
            .done
            .saturating_mul(2)
            .checked_div(part.total)
            .unwrap_or(2);
        if index >= said.len() {
            said.push(half);
        } else if said[index] < half {
            said[index] = half;
        } else {
            continue;
        }
        lines.push(format!(
            "{} {}/{} bytes",
            short(&part.what),
            part.done,
            part.total
        ));
    }
    lines
}

/// A digest without most of its digits.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few() {
        let at = |done| {
            vec![Progress {
                what: "sha256:0123456789abcdef".to_owned(),
                done,
                total: 100,
            }]
        };
        let mut said = Vec::new();
        assert_eq!(
            lines(&mut said, &at(0)),
            ["sha256:0123456789ab 0/100 bytes"]
        );
        assert!(lines(&mut said, &at(49)).is_empty());
        assert_eq!(lines(&mut said, &at(60)).len(), 1);
        assert!(lines(&mut said, &at(99)).is_empty());
        assert_eq!(lines(&mut said, &at(100)).len(), 1);
        assert!(lines(&mut said, &[]).is_empty());
    }
}
