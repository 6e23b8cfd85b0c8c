//! `cargo xtask demo`: the main job in a network namespace of its own, each step explained.
//!
//! Only what a user has is used: `bpfmand`, `bpfmanctl`, and an application that reads a map.

use crate::artifacts::{Artifacts, Profile, build_programs};
use crate::run::{capture, run};
use crate::setup;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A user without any right, who reads the counters.
const NOBODY: &str = "65534";
const ADDRESS: &str = "192.0.2.1";
const PEER_ADDRESS: &str = "192.0.2.2";

/// A program of the demonstration.
struct Counter {
    kind: &'static str,
    function: &'static str,
    /// Arguments of `link attach`; PROGRAM and TARGET stand for what is known later.
    attach: &'static [&'static str],
    /// Its place in the map of counters.
    slot: usize,
    counts: &'static str,
}

const INGRESS: Counter = Counter {
    kind: "tcx",
    function: "tcx_ingress_count",
    attach: &["tcx PROGRAM veth0 ingress --priority 50"],
    slot: 0,
    counts: "packets that arrived",
};
const BOTH_WAYS: Counter = Counter {
    kind: "tcx",
    function: "tcx_egress_count",
    attach: &[
        "tcx PROGRAM veth0 egress --priority 50",
        "tcx PROGRAM veth0 ingress --priority 10",
    ],
    slot: 1,
    counts: "packets in both directions",
};
const XDP: Counter = Counter {
    kind: "xdp",
    function: "xdp_count",
    attach: &["xdp PROGRAM veth0 --priority 50"],
    slot: 3,
    counts: "frames that arrived",
};
const TRACEPOINT: Counter = Counter {
    kind: "tracepoint",
    function: "tracepoint_count",
    attach: &["tracepoint PROGRAM syscalls/sys_enter_getpid"],
    slot: 4,
    counts: "calls of getpid by any process",
};
const UPROBE: Counter = Counter {
    kind: "uprobe",
    function: "uprobe_count",
    attach: &["uprobe PROGRAM TARGET --fn-name bpfman_probe_here"],
    slot: 5,
    counts: "calls of a function of a program",
};

pub(crate) fn run_demo() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "the demonstration starts a service that loads programs into the kernel: run as root"
        );
    }
    setup::ensure()?;
    println!("Building (the first time takes minutes) ...");
    let artifacts = build_programs(Profile::Dev)?;
    let started = Instant::now();
    let mut demo = Demo::prepare(&artifacts)?;
    demo.show()?;
    demo.clean_up()?;
    println!("\nDone in {:.1} s.", started.elapsed().as_secs_f64());
    Ok(())
}

/// Everything that the demonstration made; removed when it is dropped.
struct Demo<'a> {
    artifacts: &'a Artifacts,
    folder: TempDir,
    namespace: String,
    peer: String,
    daemon: Option<Child>,
    /// Ctrl-C or a request to end. Without it the signal would leave namespaces, a mount and loaded programs behind.
    interrupted: Arc<AtomicBool>,
}

impl<'a> Demo<'a> {
    fn prepare(artifacts: &'a Artifacts) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bpfman-demo-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let namespace = format!("bpfman-demo-{}", std::process::id());
        let peer = format!("{namespace}-peer");
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .context("signals cannot be caught")?;
        }
        Ok(Self {
            artifacts,
            folder,
            namespace,
            peer,
            daemon: None,
            interrupted,
        })
    }

    fn show(&mut self) -> Result<()> {
        self.step(
            "Two network namespaces joined by a veth pair: one for bpfman, one that traffic comes from.",
        )?;
        self.make_network()?;
        self.step(
            "bpfmand in directories of its own: it starts its workers, each in a sandbox, and gives up all capabilities.",
        )?;
        self.start()?;

        // On kernels without tcx links (before 6.6) an XDP program shows the same.
        let network: &[&Counter] = if self.has_tcx()? {
            &[&INGRESS, &BOTH_WAYS]
        } else {
            &[&XDP]
        };
        let counters: Vec<&Counter> = network
            .iter()
            .copied()
            .chain([&TRACEPOINT, &UPROBE])
            .collect();
        let object = self.artifacts.object("counter.o")?;
        self.step(
            "One load: the programs of an object file go through the image worker (which parses) to the loader (which may).\n   --maps-mode 0644 lets applications read the maps without privilege.",
        )?;
        let programs: Vec<String> = counters
            .iter()
            .map(|counter| format!("{}:{}", counter.kind, counter.function))
            .collect();
        let loaded = self.ctl_json(&[
            "program",
            "load",
            "file",
            &object.to_string_lossy(),
            "--programs",
            &programs.join(","),
            "--metadata",
            "owner=demo",
            "--maps-mode",
            "0644",
            "-o",
            "json",
        ])?;
        let ids: Vec<String> = loaded["programs"]
            .as_array()
            .context("no programs in the answer")?
            .iter()
            .map(|program| program["record"]["program_id"].to_string())
            .collect();

        self.step(
            "Each program is attached; of the two that share a hook, the one with the lower priority number runs first.",
        )?;
        let target = self
            .artifacts
            .program("uprobe-target")?
            .to_string_lossy()
            .into_owned();
        for (counter, id) in counters.iter().zip(&ids) {
            for hook in counter.attach {
                let line = format!("link attach {hook}")
                    .replace("PROGRAM", id)
                    .replace("TARGET", &target);
                println!("   $ bpfmanctl {line}");
                self.ctl(&line.split(' ').collect::<Vec<_>>())?;
            }
        }

        self.step(
            "Traffic: five pings from the other namespace, five calls of the probed function.",
        )?;
        run(Command::new("ip")
            .args([
                "netns", "exec", &self.peer, "ping", "-q", "-c", "5", "-i", "0.2", ADDRESS,
            ])
            .stdout(Stdio::null()))?;
        call_target(&target, 5)?;

        self.step("What is loaded, and where it is attached.")?;
        self.show_ctl(&["program", "list"])?;
        self.show_ctl(&["link", "list"])?;

        self.step(
            "The counters, read from the pinned map by uid 65534, who has no capability and no group.",
        )?;
        for (counter, program) in counters
            .iter()
            .zip(loaded["programs"].as_array().into_iter().flatten())
        {
            let value = self.read_counter(counter, program)?;
            println!("   {:<20} {value:>6}  {}", counter.function, counter.counts);
            if value == 0 {
                bail!("{} has counted nothing", counter.function);
            }
        }

        self.step(
            "Every process with what it may do: one has CAP_BPF, and it reads nothing from outside.",
        )?;
        self.show_ctl(&["status"])?;

        self.step("Detach and unload: programs, links, maps and pins are gone.")?;
        let links = self.ctl(&["link", "list", "-q"])?;
        let mut detach = vec!["link", "detach"];
        detach.extend(links.split_whitespace());
        self.ctl(&detach)?;
        let mut unload = vec!["program", "unload"];
        unload.extend(ids.iter().map(String::as_str));
        self.ctl(&unload)?;
        let left = self.ctl(&["program", "list"])? + &self.ctl(&["link", "list"])?;
        if !left.is_empty() {
            bail!("something is left:\n{left}");
        }
        self.show_ctl(&["doctor"])?;
        Ok(())
    }

    /// Says what follows, unless somebody wants the end: then the caller returns, and everything is taken away.
    fn step(&self, explanation: &str) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        println!("\n=> {explanation}");
        Ok(())
    }

    fn make_network(&self) -> Result<()> {
        let (own, peer) = (self.namespace.as_str(), self.peer.as_str());
        ip(&["netns", "add", own])?;
        ip(&["netns", "add", peer])?;
        ip(&[
            "-n", own, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns",
            peer,
        ])?;
        for (namespace, address) in [(own, ADDRESS), (peer, PEER_ADDRESS)] {
            ip(&[
                "-n",
                namespace,
                "address",
                "add",
                &format!("{address}/24"),
                "dev",
                "veth0",
            ])?;
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
            ip(&["-n", namespace, "link", "set", "veth0", "up"])?;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        let (mut log, writer) = std::io::pipe()?;
        let mut file = File::create(self.log_path())?;
        std::thread::spawn(move || std::io::copy(&mut log, &mut file));
        let mut command = Command::new(self.artifacts.program("bpfmand")?);
        for (flag, name) in [
            ("--runtime-dir", "run"),
            ("--state-dir", "state"),
            ("--image-cache-dir", "cache"),
        ] {
            command.arg(flag).arg(self.folder.path().join(name));
        }
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let namespace = File::open(Path::new("/run/netns").join(&self.namespace))?;
        // The namespace of the thread that forks is the child's; this thread ends there.
        let child = std::thread::scope(|scope| {
            scope
                .spawn(|| -> Result<Child> {
                    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                    command.spawn().context("cannot start bpfmand")
                })
                .join()
        });
        let started = Instant::now();
        self.daemon =
            Some(child.map_err(|_| anyhow::anyhow!("the thread that starts bpfmand panicked"))??);
        while self.ctl(&["program", "list"]).is_err() {
            if started.elapsed() > Duration::from_secs(10) {
                bail!(
                    "bpfmand does not serve:\n{}",
                    fs::read_to_string(self.log_path())?
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        println!("   ready after {} ms", started.elapsed().as_millis());
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn bpfmanctl(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(self.artifacts.program("bpfmanctl")?);
        command
            .env("BPFMAN_RUNTIME_DIR", self.folder.path().join("run"))
            .args(arguments);
        Ok(command)
    }

    fn ctl(&self, arguments: &[&str]) -> Result<String> {
        capture(&mut self.bpfmanctl(arguments)?)
    }

    fn ctl_json(&self, arguments: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.ctl(arguments)?)?)
    }

    fn show_ctl(&self, arguments: &[&str]) -> Result<()> {
        println!("   $ bpfmanctl {}", arguments.join(" "));
        for line in self.ctl(arguments)?.lines() {
            println!("   {line}");
        }
        Ok(())
    }

    /// Whether this kernel has tcx links: one is made, and taken back.
    fn has_tcx(&self) -> Result<bool> {
        let object = self.artifacts.object("counter.o")?;
        let object = object.to_string_lossy();
        let program = format!("{}:{}", INGRESS.kind, INGRESS.function);
        let loaded = self.ctl_json(&[
            "program",
            "load",
            "file",
            &object,
            "--programs",
            &program,
            "-o",
            "json",
        ])?;
        let id = loaded["programs"][0]["record"]["program_id"].to_string();
        let attached = self
            .bpfmanctl(&["link", "attach", "tcx", &id, "veth0", "ingress", "-p", "50"])?
            .output()?;
        self.ctl(&["program", "unload", &id])?;
        Ok(attached.status.success())
    }

    fn read_counter(&self, counter: &Counter, program: &Value) -> Result<u64> {
        let maps = program["record"]["handles"]["map_pin_path"]
            .as_str()
            .context("no maps directory")?;
        let pin = Path::new(maps).join("counters");
        let numbers = capture(
            Command::new(self.artifacts.program("map-reader")?)
                .arg(NOBODY)
                .arg(pin),
        )?;
        numbers
            .split_whitespace()
            .nth(counter.slot)
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("no slot {} in the map", counter.slot))
    }

    /// Ends the service as an administrator does, removes what was made, and looks whether all is gone.
    fn clean_up(mut self) -> Result<()> {
        println!("\n=> Stop, and leave nothing behind.");
        if let Some(mut daemon) = self.daemon.take() {
            kill_process(Pid::from_child(&daemon), Signal::TERM)?;
            let status = daemon.wait()?;
            if !status.success() {
                bail!(
                    "bpfmand ended with {status}:\n{}",
                    fs::read_to_string(self.log_path())?
                );
            }
        }
        let folder = self.folder.path().to_owned();
        let namespaces = [self.namespace.clone(), self.peer.clone()];
        drop(self);
        for namespace in namespaces {
            if Path::new("/run/netns").join(&namespace).exists() {
                bail!("the network namespace {namespace} is left");
            }
        }
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        if folder.exists() || mounts.contains(&*folder.to_string_lossy()) {
            bail!("{} is left", folder.display());
        }
        Ok(())
    }
}

impl Drop for Demo<'_> {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            // Only when a step has failed: bpfmand takes its workers with it.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // What was not made cannot be removed, and need not be.
        let _ = Command::new("umount")
            .arg(self.folder.path().join("run/fs"))
            .output();
        for namespace in [&self.peer, &self.namespace] {
            let _ = Command::new("ip")
                .args(["netns", "del", namespace])
                .output();
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments))
}

fn call_target(target: &str, times: usize) -> Result<()> {
    let mut child = Command::new(target)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    child
        .stdin
        .take()
        .context("its input")?
        .write_all("\n".repeat(times).as_bytes())?;
    child.wait()?;
    Ok(())
}
