//! Worker log lines, from the pipe that is a worker's standard error to `bpfmand`'s own.
//!
//! What a worker writes is not trusted: lines are cut to a length, counted, freed of control characters, and marked with
//! who wrote them; fields of its logger are told from the message by splitting, and whatever is odd is message. The last
//! line in which it says why it ends is kept for whoever asks after it has ended.

use crate::limits::{LOG_LINE_BYTES, LOG_LINES, LOG_WINDOW};
use crate::log_object::{object, unlogged};
use crate::prepare::log::timestamp;
use configuration::Format;
use sandbox::logging::line::{Entry, is_mark, readable};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Instant;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) name: &'static str,
    pub(super) pid: u32,
}

/// Why a process says that it ends; empty as long as it has not.
pub(super) type LastWords = watch::Receiver<String>;

/// Passes lines on until the process and whatever else holds the pipe have closed it.
pub(super) fn spawn(pipe: OwnedFd, source: Source, format: Format) -> LastWords {
    let (words, last) = watch::channel(String::new());
    tokio::spawn(async move {
        if let Err(error) = relay(pipe, source, format, &words).await {
            tracing::warn!("log of {}[{}]: {error}", source.name, source.pid);
        }
    });
    last
}

async fn relay(
    pipe: OwnedFd,
    source: Source,
    format: Format,
    words: &watch::Sender<String>,
) -> io::Result<()> {
    let mut pipe = pipe::Receiver::from_owned_fd(pipe)?;
    let mut lines = Lines::default();
    let mut rate = Rate::new(Instant::now());
    let mut bytes = [0; 4096];
    loop {
        let read = pipe.read(&mut bytes).await?;
        let emit = |line: &str| {
            if let Some(reason) = reason(role(source), line) {
                words.send_replace(reason.to_owned());
            }
            let (passed, dropped) = rate.pass(Instant::now());
            if dropped > 0 {
                tracing::warn!(
                    "{}[{}]: {dropped} lines dropped: more than {LOG_LINES} in {LOG_WINDOW:?}",
                    source.name,
                    source.pid
                );
            }
            if passed {
                write_line(source, format, line);
            }
        };
        if read == 0 {
            lines.finish(emit);
            return Ok(());
        }
        lines.push(&bytes[..read], emit);
    }
}

/// What a process calls itself in its lines: helpers of all kinds are a `helper`.
fn role(source: Source) -> &'static str {
    let name = source.name;
    name.split_once('-').map_or(name, |(role, _)| role)
}

/// What follows in a line that begins as `sandbox::start` begins the one in which a worker says why it ends. Lines of its
/// logger have a level in this place.
fn reason<'a>(role: &str, line: &'a str) -> Option<&'a str> {
    line.strip_prefix(role)?.strip_prefix(": ")
}

fn write_line(source: Source, format: Format, line: &str) {
    // A line of the worker's logger begins with its role, which stands in the mark already.
    let of_logger = line
        .strip_prefix(role(source))
        .and_then(|rest| rest.strip_prefix(' '));
    let text = match format {
        Format::Text => {
            let (time, line) = (timestamp(), readable(of_logger.unwrap_or(line)));
            format!("{time} {}[{}] {line}\n", source.name, source.pid)
        }
        Format::Json => {
            let entry = of_logger
                .and_then(Entry::split)
                .unwrap_or_else(|| unlogged(&readable(reason(role(source), line).unwrap_or(line))));
            object(source.name, source.pid, &entry)
        }
    };
    // A standard error that cannot be written to cannot be reported either.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut emit: impl FnMut(&str)) {
        for byte in bytes {
            if *byte == b'\n' {
                emit(&clean(&self.partial));
                self.partial.clear();
            } else if self.partial.len() < LOG_LINE_BYTES {
                self.partial.push(*byte);
            }
        }
    }

    fn finish(&mut self, mut emit: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            emit(&clean(&self.partial));
            self.partial.clear();
        }
    }
}

/// Without characters that would move a cursor or forge another line. Marks of the logger are taken away by who writes.
fn clean(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .chars()
        .map(|character| {
            if character.is_control() && character != '\t' && !is_mark(character) {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

/// Counts lines per window.
#[derive(Debug)]
struct Rate {
    window: Instant,
    passed: u32,
    dropped: u32,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Self {
            window: now,
            passed: 0,
            dropped: 0,
        }
    }

    /// Whether a line may pass, and how many were dropped in a window that is over.
    fn pass(&mut self, now: Instant) -> (bool, u32) {
        let mut before = 0;
        if now.saturating_duration_since(self.window) >= LOG_WINDOW {
            before = self.dropped;
            *self = Self::new(now);
        }
        let passes = self.passed < LOG_LINES;
        if passes {
            self.passed += 1
        } else {
            self.dropped += 1
        }
        (passes, before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| seen.push(line.to_owned()));
        }
        lines.finish(|line| seen.push(line.to_owned()));
        seen
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        assert_eq!(
            collect(&[b"one\ntw", b"o\n", b"three"]),
            ["one", "two", "three"]
        );
    }

    #[test]
    fn a_line_one_past_the_limit_is_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; LOG_LINE_BYTES + 1];
        let seen = collect(&[&long, b"\nnext\n"]);
        assert_eq!(seen[0].len(), LOG_LINE_BYTES);
        assert_eq!(seen[1], "next");
    }

    #[test]
    fn control_characters_and_bad_encodings_do_not_pass() {
        assert_eq!(
            collect(&[b"a\x1b[2Jb\rc\xff\td\n"]),
            ["a\u{fffd}[2Jb\u{fffd}c\u{fffd}\td"]
        );
    }

    #[test]
    fn a_helper_of_any_kind_calls_itself_helper() {
        let of = |name| role(Source { name, pid: 1 });
        assert_eq!(
            [of("helper-perf"), of("helper-mount"), of("loader")],
            ["helper", "helper", "loader"]
        );
    }

    #[test]
    fn a_reason_is_told_from_what_is_logged() {
        assert_eq!(
            reason("loader", "loader: store: locked"),
            Some("store: locked")
        );
        for other in [
            "loader WARN loader_worker::store: slow",
            "image: no",
            "thread main panicked",
            "",
        ] {
            assert_eq!(reason("loader", other), None, "{other}");
        }
    }

    #[test]
    fn one_line_past_the_rate_is_dropped_and_counted() {
        let now = Instant::now();
        let mut rate = Rate::new(now);
        for _ in 0..LOG_LINES {
            assert_eq!(rate.pass(now), (true, 0));
        }
        assert_eq!(rate.pass(now), (false, 0));
        assert_eq!(rate.pass(now + LOG_WINDOW), (true, 1));
    }
}
