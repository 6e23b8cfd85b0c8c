//! `bpfmand`: the spawner and the supervisor of bpfman's workers.
//!
//! As root and with one thread it prepares what only root can ([`prepare`]), forks the spawner ([`spawner`]), which alone
//! keeps privileges, and then gives up every one of its own. What remains is the supervisor: a process tree ([`tree`]) with
//! an ordered start and stop, restarts, and links between workers.
//!
//! What is deliberately absent from the supervisor: client requests, bytecode, registry data. It is on no business path.

pub mod limits;
mod log_object;
pub mod prepare;
mod profile;
#[cfg(test)]
mod skip;
pub mod spawner;
pub mod tree;

use ipc::messages::pull::ImageSettings;
use prepare::flags::{Flags, invoked_name};
use prepare::notify::Notify;
use prepare::users::Users;
use prepare::{
    PrepareError, csi, directories, lock, log, mounts, registries, socket, trust, workers,
};
use ractor::Actor;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use tokio::sync::oneshot;
use tree::Tree;
use tree::reload::Configured;

/// Exit status after a wrong command line, as the established command line has it.
const USAGE: u8 = 80;

/// The whole life of `bpfmand`.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let name = invoked_name(&arguments);
    let flags = match Flags::read(&arguments) {
        Ok(flags) => flags,
        // It fails only when there is nobody to tell.
        Err(error) if error.use_stderr() => {
            let _ = write!(std::io::stderr(), "{name}: {}", error.render());
            return ExitCode::from(USAGE);
        }
        Err(help) => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    match prepare(&flags).and_then(serve) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            log::last_words(&name, &error);
            ExitCode::FAILURE
        }
    }
}

/// Everything that is done before there is a runtime, in its order. What it returns is all that the supervisor has left.
fn prepare(flags: &Flags) -> Result<Prepared, PrepareError> {
    let configured = configuration::read(flags.config.as_deref())?;
    let config = &configured.config;
    let spec = match &flags.log {
        Some(spec) => log::normalize(spec)?,
        None => log::normalize(&config.logging.specification())?,
    };
    let at_terminal = std::io::stdin().is_terminal();
    let mode = sandbox::mode::choose(flags.sandbox, at_terminal)?;
    log::init(&spec, config.logging.format)?;
    for sentence in configured.without_effect() {
        tracing::warn!("configuration: {sentence}");
    }
    let uid = rustix::process::geteuid();
    if !uid.is_root() {
        return Err(PrepareError::NotRoot(uid.as_raw()));
    }
    let serves_volumes = flags.csi_support.unwrap_or(config.csi.enabled);
    configured.check_named(serves_volumes)?;

    let users = Users::look_up(flags.require_users)?;
    for fallback in &users.fallbacks {
        tracing::warn!("users: {fallback}");
    }

    let (state_dir, cache_dir) = (flags.state_dir(), flags.image_cache_dir());
    directories::check_distinct([&flags.runtime_dir, &state_dir, &cache_dir])?;
    let runtime = directories::prepare(&flags.runtime_dir, directories::Wanted::runtime())?;
    let lock = lock::take(&runtime, &flags.runtime_dir)?;
    let state = directories::prepare(&state_dir, directories::Wanted::state(&users.loader))?;
    lock::hold(&state, &state_dir, "--state-dir")?;
    let cache = directories::prepare(&cache_dir, directories::Wanted::cache(&users.image))?;
    lock::hold(&cache, &cache_dir, "--image-cache-dir")?;
    mounts::bpffs(&runtime, &flags.runtime_dir, &users.loader)?;
    mounts::tracefs();

    let notify = Notify::connect(flags.notify_socket.as_deref());
    trust::check(&config.signing)?;
    let mut settings = workers::Settings::new(flags, &users, &spec, config.signing.trust_dir());
    if serves_volumes {
        settings = settings.with_kubelet_dir(config.csi.kubelet_dir.clone());
    }
    let programs = workers::open(flags.worker_dir.as_deref(), &settings)?;
    let mut listeners = socket::listen(
        &runtime,
        &flags.runtime_dir,
        &flags.socket_path(),
        users.client_gid,
    )?;
    drop(runtime);
    if serves_volumes {
        let listener = csi::prepare(&flags.runtime_dir, &config.csi.kubelet_dir)?;
        listeners.csi = Some(listener);
    }

    let image_settings = registries::memory(&ImageSettings {
        registries: registries::settings(&config.registries)?,
        signing: config.signing.settings.clone(),
    })?;

    // The spawner ends last: it alone keeps the workers' directories to this instance.
    let held = [&lock, &state, &cache];
    let spawner = spawner::fork(programs, held).map_err(PrepareError::Spawner)?;
    drop((state, cache));
    let configured = Configured {
        file: flags
            .config
            .as_ref()
            .map(std::path::absolute)
            .transpose()
            .map_err(PrepareError::path(
                "configuration",
                "--config",
                "give an absolute path",
            ))?,
        log_given: flags.log.is_some(),
        log: spec,
        config: config.clone(),
    };
    let mut kept = vec![&lock, &image_settings];
    kept.extend(listeners.all());
    let profile = profile::supervisor(
        &users.supervisor,
        &settings,
        &kept,
        &spawner,
        &notify,
        configured.file.as_deref(),
    )?;
    let report = sandbox::enter(&profile, mode)?;
    let (finished, outcome) = oneshot::channel();
    let format = config.logging.format;
    Ok(Prepared {
        lock,
        tree: tree::Arguments {
            spawner,
            listeners,
            notify,
            image_settings,
            settings,
            report,
            format,
            configured,
            at_terminal,
            finished,
        },
        outcome,
    })
}

/// What is left of root's work.
struct Prepared {
    lock: OwnedFd,
    tree: tree::Arguments,
    outcome: oneshot::Receiver<()>,
}

/// Runs the tree to its end; true when it ended in order.
fn serve(prepared: Prepared) -> Result<bool, PrepareError> {
    let Prepared {
        lock,
        tree,
        mut outcome,
    } = prepared;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(PrepareError::Runtime)?;
    let ended = runtime.block_on(async move {
        let (_, tree) = Actor::spawn(None, Tree, tree)
            .await
            .map_err(std::io::Error::other)?;
        tree.await.map_err(std::io::Error::other)
    });
    drop(lock);
    ended.map_err(PrepareError::Runtime)?;
    Ok(outcome.try_recv().is_ok())
}
