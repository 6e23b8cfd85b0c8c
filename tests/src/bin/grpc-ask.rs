//! `grpc-ask SOCKET list`, `grpc-ask SOCKET load FILE NAME` and `grpc-ask SOCKET pull URL`: one gRPC request of a process of its own. Prints `ok COUNT`,
//! or the code and message of the status. `grpc-ask SOCKET harm COUNT` does harm until it is killed, and prints how many
//! connections it has made as soon as there are so many.

#![allow(clippy::panic, clippy::expect_used, reason = "a program for tests")]

use api_worker::proto::{BpfmanProgramType, BytecodeImage, ListRequest};
use bpfman_tests::grpc::{Grpc, load_request};
use bpfman_tests::hostile;
use std::path::Path;
use tonic::Status;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match arguments.as_slice() {
        [socket, "list"] => connect(socket)
            .and_then(|grpc| grpc.list(ListRequest::default()))
            .map(|results| results.len()),
        [socket, "load", file, name] => connect(socket)
            .and_then(|grpc| {
                let programs = [(*name, BpfmanProgramType::Xdp)];
                grpc.load(load_request(Path::new(file), &programs))
            })
            .map(|response| response.programs.len()),
        [socket, "pull", url] => connect(socket).and_then(|grpc| {
            let image = BytecodeImage {
                url: (*url).to_owned(),
                ..BytecodeImage::default()
            };
            grpc.pull(image).map(|()| 1)
        }),
        [socket, "harm", count] => {
            let count = count.parse().expect("COUNT");
            hostile::do_harm(Path::new(socket), count, |made| println!("{made}"))
        }
        _ => panic!("usage: grpc-ask SOCKET list | load FILE NAME | pull URL | harm COUNT"),
    };
    match answer {
        Ok(count) => println!("ok {count}"),
        Err(status) => println!("{:?} {}", status.code(), status.message()),
    }
}

fn connect(socket: &str) -> Result<Grpc, Status> {
    Grpc::connect(Path::new(socket)).map_err(|error| Status::unavailable(error.to_string()))
}
