//! A client of the gRPC socket that means harm: everything that one can do to a server of HTTP/2 without getting through to
//! a method, or without taking the answer. Frames are written by hand (RFC 9113), headers without compression (RFC 7541),
//! because libraries do not let their users do such things.

use crate::binaries::program;
use std::io::{BufRead, BufReader, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Requests of one connection before it is left alone.
const REQUESTS: u32 = 16;

/// Bytes of headers without an end, in frames as large as they may be.
const HEADER_BYTES: usize = 1024 * 1024;
const FRAME_BYTES: usize = 16 * 1024;

/// Between two rounds of harm.
const PAUSE: Duration = Duration::from_millis(50);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of a call of `List`.
fn headers() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    let mut put = |start: &[u8], value: &str| {
        block.extend(start);
        block.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
        block.extend(value.bytes());
    };
    // :path, :authority and content-type by their numbers in the static table; te by its name.
    put(&[0x04], "/bpfman.v1.Bpfman/List");
    put(&[0x01], "localhost");
    put(&[0x0f, 0x10], "application/grpc");
    put(&[0x00, 2, b't', b'e'], "trailers");
    block
}

fn connect(socket: &Path) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_nonblocking(true)?;
    stream.write_all(PREFACE)?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    Ok(stream)
}

/// Asks for lists and reads none of them. The connection is to be held.
pub fn never_reads(socket: &Path) -> Result<UnixStream> {
    let mut stream = connect(socket)?;
    for request in 0..REQUESTS {
        let id = 2 * request + 1;
        stream.write_all(&frame(HEADERS, END_HEADERS, id, &headers()))?;
        // A message of no bytes: every program.
        stream.write_all(&frame(DATA, END_STREAM, id, &[0; 5]))?;
    }
    Ok(stream)
}

/// Begins requests and does not end them: some without a message, the last within its headers. To be held as well.
pub fn half_requests(socket: &Path) -> Result<UnixStream> {
    let mut stream = connect(socket)?;
    for request in 0..REQUESTS {
        let id = 2 * request + 1;
        stream.write_all(&frame(HEADERS, END_HEADERS, id, &headers()))?;
        stream.write_all(&frame(DATA, 0, id, &[0, 0, 0, 1, 0]))?;
    }
    stream.write_all(&frame(HEADERS, 0, 2 * REQUESTS + 1, &headers()))?;
    Ok(stream)
}

/// Sends headers without an end until it is stopped.
pub fn endless_headers(socket: &Path) -> Result<()> {
    let mut stream = connect(socket)?;
    stream.set_nonblocking(false)?;
    stream.write_all(&frame(HEADERS, 0, 1, &headers()))?;
    for _ in 0..HEADER_BYTES / FRAME_BYTES {
        // Each a header of its own, with a name that was not there before.
        let value = vec![b'x'; FRAME_BYTES - 16];
        let length = value.len() - 127;
        let mut block = vec![0, 1, b'y', 0x7f];
        // RFC 7541, 5.1: what does not fit seven bits follows in groups of seven.
        block.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
        block.extend(value);
        stream.write_all(&frame(CONTINUATION, 0, 1, &block))?;
    }
    Ok(())
}

/// All of it again and again, and connections that say nothing; `enough` is told once when there were so many connections.
/// What is refused is what is wanted. Ends with its process.
pub fn do_harm(socket: &Path, connections: usize, enough: impl FnOnce(usize)) -> ! {
    let mut enough = Some(enough);
    let mut made = 0;
    loop {
        let mut held = Vec::new();
        for harm in [never_reads, half_requests] {
            held.extend((0..16).filter_map(|_| harm(socket).ok()));
        }
        // Refused within a few frames.
        let _ = endless_headers(socket);
        made += held.len() + 1;
        for _ in 0..500 {
            held.extend(UnixStream::connect(socket));
            made += 1;
        }
        if made >= connections
            && let Some(enough) = enough.take()
        {
            enough(made);
        }
        // Held for a moment; and not more than a client that is allowed to would keep a processor busy.
        std::thread::sleep(PAUSE);
    }
}

/// A process that does so.
#[derive(Debug)]
pub struct Hostile(Child);

impl Hostile {
    /// Starts it.
    pub fn start(socket: &Path, connections: usize) -> Self {
        let child = Command::new(program("grpc-ask"))
            .arg(socket)
            .args(["harm", &connections.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("cannot start grpc-ask");
        Self(child)
    }

    /// Waits until it has made its connections; how many they are.
    pub fn wait_for_harm(&mut self) -> usize {
        let output = self.0.stdout.take().expect("its output");
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        read.expect("what it prints");
        line.trim().parse().expect("a number")
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // Gone already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
