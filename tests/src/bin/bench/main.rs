//! Measures a whole bpfman and prints the result as Markdown; `cargo xtask bench` runs it and writes docs/benchmarks.md.

mod chains;
mod floor;
mod images;
mod interface;
mod operations;
mod samples;

use anyhow::Result;
use bpfman_tests::instance::Instance;
use bpfman_tests::{kernel, per_packet, process, wait};
use operations::{Operations, by_connection, by_floor, by_process};
use samples::{Samples, milliseconds};
use std::time::{Duration, Instant};

/// Rounds by system calls and over a connection.
const ROUNDS: usize = 200;
/// Rounds through whole processes.
const PROCESS_ROUNDS: usize = 100;
/// Members attached to a chain of five.
const CHAIN_ROUNDS: usize = 100;
/// Loads of each kind: from a file and from images in the cache.
const IMAGE_ROUNDS: usize = 200;
/// Times that 64 hooks are changed.
const HOOK_ROUNDS: usize = 5;
/// Samples of what a packet costs, and runs of each.
const PACKET_ROUNDS: usize = 21;
const PACKET_RUNS: u32 = 100_000;
/// Services started; each gives one sample for start and one per crashed worker.
const STARTS: usize = 15;

/// What a service logs whose user has not said anything else.
const LOG: [&str; 2] = ["--log", "info"];

fn main() -> Result<()> {
    let instance = Instance::start_with(&LOG);
    if let Err(reason) = kernel::tcx() {
        anyhow::bail!("the benchmark attaches by tcx: {reason}");
    }
    memory(&instance);
    let floor = by_floor(&instance, ROUNDS)?;
    let connection = by_connection(&instance, ROUNDS)?;
    let process = by_process(&instance, PROCESS_ROUNDS)?;
    print_operations(&floor, &connection, &process);
    print_chains(
        &chains::sixth(&instance, CHAIN_ROUNDS)?,
        &chains::many(&instance, HOOK_ROUNDS)?,
    );
    print_interface(&interface::measure(&instance, ROUNDS)?);
    print_packets(&per_packet::measure(&instance, PACKET_ROUNDS, PACKET_RUNS));
    drop(instance);
    print_images(&images::measure(IMAGE_ROUNDS)?);
    starts_and_crashes();
    Ok(())
}

fn print_operations(floor: &Operations, connection: &Operations, process: &Operations) {
    println!("## Operations\n");
    println!(
        "One program with its maps of a small object; `list` of ten programs. Milliseconds, median / p99; {} rounds by \
         system calls and over one connection, {} through a whole `bpfmanctl` process.\n",
        floor.load.count(),
        process.load.count()
    );
    println!(
        "| operation | floor: system calls alone | one IPC connection | whole bpfmanctl process | over the floor, IPC | over the floor, process |"
    );
    println!("|---|---|---|---|---|---|");
    let columns = floor
        .each()
        .into_iter()
        .zip(connection.each())
        .zip(process.each());
    for (((name, floor), (_, connection)), (_, process)) in columns {
        let cell = |samples: &Samples| {
            format!(
                "{} / {}",
                milliseconds(samples.median()),
                milliseconds(samples.p99())
            )
        };
        let over =
            |samples: &Samples| milliseconds(samples.median().saturating_sub(floor.median()));
        println!(
            "| {name} | {} | {} | {} | {} | {} |",
            cell(floor),
            cell(connection),
            cell(process),
            over(connection),
            over(process)
        );
    }
    println!();
}

fn print_images(loads: &images::Loads) {
    println!("## Images\n");
    println!(
        "Loads of one program over one connection, the kinds in turns: from a file, and from images in the cache while \
         there is no registry. Each image is read, checked against its digests, judged by its signature, unpacked and \
         compiled anew. Milliseconds, median / p99; {} rounds.\n",
        loads.file.count()
    );
    println!("| load from | median / p99 | over a file |");
    println!("|---|---|---|");
    for (what, samples) in [
        ("a file", &loads.file),
        ("an image signed with a key", &loads.key),
        (
            "an image signed by an identity: certificate, log entry, proof",
            &loads.identity,
        ),
    ] {
        println!(
            "| {what} | {} / {} | {} |",
            milliseconds(samples.median()),
            milliseconds(samples.p99()),
            milliseconds(samples.median().saturating_sub(loads.file.median()))
        );
    }
    println!();
}

fn print_chains(sixth: &chains::Sixth, many: &chains::Many) {
    println!("## Chains\n");
    println!(
        "Fused XDP chains, over IPC connections; milliseconds, median / p99. The floor of a sixth member is generating, \
         verifying and pinning the new program, and putting it in the place of the old one; {} rounds. 64 hooks: each gets \
         a second member and loses it again, over one connection, or each over its own; {} rounds of all. Their floor is \
         one program in the place of another and back, on 64 threads: the kernel does that to one hook after the other.\n",
        sixth.floor.count(),
        many.at_once.count()
    );
    println!("| what | median / p99 |");
    println!("|---|---|");
    let print = |what: &str, samples: &Samples| {
        println!(
            "| {what} | {} / {} |",
            milliseconds(samples.median()),
            milliseconds(samples.p99())
        );
    };
    print(
        "attach to a chain of five: floor, system calls alone",
        &sixth.floor,
    );
    print(
        "attach to a chain of five: one IPC connection",
        &sixth.connection,
    );
    let over = sixth
        .connection
        .median()
        .saturating_sub(sixth.floor.median());
    println!(
        "| attach to a chain of five: over the floor | {} |",
        milliseconds(over)
    );
    print("64 hooks at once: floor, system calls alone", &many.floor);
    print("64 hooks one after the other", &many.one_by_one);
    print("64 hooks at once", &many.at_once);
    println!();
}

fn print_interface(measured: &interface::Interface) {
    println!("## gRPC\n");
    println!(
        "Over one connection of each interface, {} programs being loaded; milliseconds, median / p99; {} rounds.\n",
        interface::LISTED,
        measured.get.ipc.count()
    );
    println!("| request | IPC | gRPC | gRPC over IPC |");
    println!("|---|---|---|---|");
    let cell = |samples: &Samples| {
        format!(
            "{} / {}",
            milliseconds(samples.median()),
            milliseconds(samples.p99())
        )
    };
    for (name, both) in [
        ("get one program", &measured.get),
        ("list all programs", &measured.list),
    ] {
        let over = both.grpc.median().saturating_sub(both.ipc.median());
        println!(
            "| {name} | {} | {} | {} |",
            cell(&both.ipc),
            cell(&both.grpc),
            milliseconds(over)
        );
    }
    println!(
        "\n{} clients at once, each with a connection of its own, a thousand requests for a program in a second; then one of \
         them is hostile: it reads no answer, leaves requests half, sends headers without end, and makes ten thousand \
         connections.\n",
        interface::CLIENTS
    );
    println!("| the others' answers | median / p99 |");
    println!("|---|---|");
    println!("| nobody is hostile | {} |", cell(&measured.alone));
    println!("| one is hostile | {} |", cell(&measured.beside));
    let ratio = measured.beside.p99().as_secs_f64() / measured.alone.p99().as_secs_f64();
    println!("| p99, times | {ratio:.2} |\n");
}

fn print_packets(costs: &[per_packet::Cost]) {
    println!("## Per packet\n");
    println!(
        "One packet on an XDP hook by `BPF_PROG_TEST_RUN`, every member counting it and passing it: nanoseconds, median of \
         {PACKET_ROUNDS} means of {PACKET_RUNS} runs, the hooks in turns.\n"
    );
    println!("| strategy | members | ns | ns per member |");
    println!("|---|---|---|---|");
    for cost in costs {
        println!(
            "| {} | {} | {} | {:.1} |",
            cost.strategy,
            cost.members,
            cost.median(),
            f64::from(cost.median()) / cost.members as f64
        );
    }
    println!();
}

/// Memory of an idle service.
fn memory(instance: &Instance) {
    // Start-up is over when nothing has changed for a moment.
    std::thread::sleep(Duration::from_secs(1));
    println!("## Memory\n");
    println!("Proportional set size of each process of an idle service, KiB.\n");
    println!("| process | PSS |");
    println!("|---|---|");
    let mut sum = 0;
    for row in instance.status() {
        let size = process::pss(row.pid);
        sum += size;
        println!("| {} | {size} |", row.role);
    }
    println!("| all | {sum} |\n");
}

/// From exec of `bpfmand` to the first answer of a service of which every process serves; from kill -9 of a worker to the
/// same.
fn starts_and_crashes() {
    let mut start = Samples::default();
    let mut crashes = [
        ("loader", Samples::default()),
        ("image", Samples::default()),
        ("api", Samples::default()),
    ];
    for _ in 0..STARTS {
        for (role, samples) in &mut crashes {
            // A fresh service for each: a worker that crashes again soon is restarted later on purpose.
            let (folder, netns) = Instance::fresh_place();
            let mut instance = start.time(|| Instance::start_in(folder, netns, &LOG));
            // The shortest time that counts as having run.
            std::thread::sleep(Duration::from_millis(300));
            let before = instance.process(role).pid;
            process::kill(before);
            let killed = Instant::now();
            let back = wait::until(Duration::from_secs(10), || {
                let rows = instance.try_status()?;
                rows.iter()
                    .any(|row| row.role == *role && row.pid != before)
                    .then_some(killed.elapsed())
            });
            samples.push(back.unwrap_or(Duration::from_secs(10)));
            instance.stop();
        }
    }
    println!("## Start and restart\n");
    println!("Until every process serves and answers; milliseconds, median / p99.\n");
    println!("| what | median / p99 | samples |");
    println!("|---|---|---|");
    let print = |what: &str, samples: &Samples| {
        println!(
            "| {what} | {} / {} | {} |",
            milliseconds(samples.median()),
            milliseconds(samples.p99()),
            samples.count()
        );
    };
    print("start of bpfmand to ready", &start);
    for (role, samples) in &crashes {
        print(&format!("kill -9 of {role} to ready"), samples);
    }
}
