//! What a probe can be told to do.

use crate::raw;
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{
    AtFlags, CWD, FlockOperation, MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, flock,
    memfd_create, mkdirat, openat, unlinkat,
};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::Duration;

/// The name of an error, as tests expect it.
pub fn name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EACCES) => "EACCES".into(),
        Some(libc::EPERM) => "EPERM".into(),
        Some(libc::ENOENT) => "ENOENT".into(),
        Some(libc::EBADF) => "EBADF".into(),
        _ => error.to_string(),
    }
}

pub fn perform(act: &str, argument: &str) -> io::Result<()> {
    match act {
        // Forbidden to all.
        "inet-socket" => raw::socket(libc::AF_INET, libc::SOCK_STREAM),
        "inet6-socket" => raw::socket(libc::AF_INET6, libc::SOCK_DGRAM),
        "packet-socket" => raw::socket(libc::AF_PACKET, libc::SOCK_RAW),
        "exec" => raw::execute(),
        "ptrace" => raw::trace(argument.parse().map_err(io::Error::other)?),
        "setuid" => raw::become_root(),
        "fork" => raw::fork(),
        "mount" => raw::mount_tmpfs(argument),
        "unmount" => raw::unmount(argument.parse().map_err(io::Error::other)?),
        "move-mount" => raw::move_mount(argument.parse().map_err(io::Error::other)?),
        "signal" => raw::signal_parent(),
        "code" => raw::executable_memory(),
        "harmless" => raw::harmless(),
        "sleep" => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        "not-dumpable" => (!raw::is_dumpable())
            .then_some(())
            .ok_or_else(|| io::Error::other("dumpable")),
        // Files.
        "read" => std::fs::read(argument).map(drop),
        "create" => std::fs::write(argument, "x"),
        "list" => std::fs::read_dir(argument).map(drop),
        "replace" => replace(Path::new(argument)),
        "make-directory" => Ok(mkdirat(CWD, argument, Mode::RWXU)?),
        "remove-directory" => Ok(unlinkat(CWD, argument, AtFlags::REMOVEDIR)?),
        "lock" => lock(argument),
        // Kernel objects.
        "bpf" => raw::bpf(argument.parse().map_err(io::Error::other)?, &[]).map(drop),
        "map" => raw::create_map().map(drop),
        "xdp" => raw::load_xdp().map(drop),
        "pin" => raw::create_map().and_then(|map| raw::pin(map, argument)),
        "fdinfo" => fdinfo(),
        "uprobe" => uprobe(argument),
        "group" => raw::change_group(3, argument.parse().map_err(io::Error::other)?),
        "owner" => raw::change_owner(3, argument.parse().map_err(io::Error::other)?),
        "interface" => interface(argument),
        "network-namespace" => raw::enter_namespace(3, libc::CLONE_NEWNET),
        "mount-namespace" => raw::enter_namespace(3, libc::CLONE_NEWNS),
        "any-namespace" => raw::enter_namespace(3, 0),
        "give-up" => give_up_sys_admin(),
        "memfd" => sealed_memfd(),
        // Libraries.
        "page-size" => (rustix::param::page_size() >= 4096)
            .then_some(())
            .ok_or_else(|| io::Error::other("too small")),
        "thread" => thread(),
        "tokio" => tokio_tasks(),
        "link" => link(),
        "blocking" => blocking(),
        "rocksdb" => rocksdb(Path::new(argument)),
        // Ends.
        "panic" => panic!("the probe panics as told"),
        "abort" => std::process::abort(),
        "memory" => memory(argument.parse().map_err(io::Error::other)?),
        other => Err(io::Error::other(format!("unknown act {other}"))),
    }
}

/// A directory, a file moved into it from another, both removed.
fn lock(directory: &str) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, directory, flags, Mode::empty())?;
    Ok(flock(directory, FlockOperation::NonBlockingLockExclusive)?)
}

fn replace(directory: &Path) -> io::Result<()> {
    let inner = directory.join("inner");
    std::fs::create_dir(&inner)?;
    let mut file = std::fs::File::create(directory.join("new"))?;
    file.write_all(b"x")?;
    file.sync_all()?;
    std::fs::rename(directory.join("new"), inner.join("kept"))?;
    std::fs::remove_file(inner.join("kept"))?;
    std::fs::remove_dir(&inner)
}

fn fdinfo() -> io::Result<()> {
    let map = raw::create_map()?;
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{map}"))?;
    text.contains("map_type")
        .then_some(())
        .ok_or_else(|| io::Error::other(text))
}

fn uprobe(target: &str) -> io::Result<()> {
    let (file, offset) = target.rsplit_once(' ').ok_or(io::ErrorKind::InvalidInput)?;
    let offset = offset.parse().map_err(io::Error::other)?;
    let kind = std::fs::read_to_string("/sys/bus/event_source/devices/uprobe/type")?;
    std::fs::read_to_string("/sys/kernel/tracing/events/sched/sched_switch/id")?;
    let kind = kind.trim().parse().map_err(io::Error::other)?;
    raw::open_uprobe(kind, file, offset)
}

fn interface(name: &str) -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    let unix = socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
    netdevice::name_to_index(&unix, name)?;
    raw::socket(libc::AF_NETLINK, libc::SOCK_RAW)
}

/// As the helper does once it is inside. Entering again fails then.
fn give_up_sys_admin() -> io::Result<()> {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut sets = capabilities(None)?;
    sets.effective.remove(CapabilitySet::SYS_ADMIN);
    sets.permitted.remove(CapabilitySet::SYS_ADMIN);
    set_capabilities(None, sets)?;
    match raw::enter_namespace(3, libc::CLONE_NEWNET) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(()),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

fn sealed_memfd() -> io::Result<()> {
    let memory = memfd_create("plan", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(b"plan")?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    match file.write_all(b"more") {
        Err(_) => Ok(()),
        Ok(()) => Err(io::Error::other("a sealed memfd was written")),
    }
}

fn thread() -> io::Result<()> {
    let builder = std::thread::Builder::new().name("worker".into());
    let sum = builder.spawn(|| (1..=10).sum::<u32>())?.join();
    assert_eq!(sum.ok(), Some(55));
    Ok(())
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

struct Adder;

impl Actor for Adder {
    type Msg = (u32, RpcReplyPort<u32>);
    type State = u32;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<u32, ActorProcessingErr> {
        Ok(40)
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        (summand, reply): Self::Msg,
        state: &mut u32,
    ) -> Result<(), ActorProcessingErr> {
        *state += summand;
        reply.send(*state)?;
        Ok(())
    }
}

/// Timers, sockets, signals, blocking tasks, actors.
fn tokio_tasks() -> io::Result<()> {
    runtime()?.block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        tokio::time::sleep(Duration::from_millis(2)).await;
        let _terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let (mut left, mut right) = tokio::net::UnixStream::pair()?;
        left.write_all(b"hello").await?;
        let mut buffer = [0; 5];
        right.read_exact(&mut buffer).await?;
        assert_eq!(&buffer, b"hello");
        assert_eq!(tokio::task::spawn_blocking(|| 7).await?, 7);
        let (adder, handle) = Actor::spawn(None, Adder, ())
            .await
            .map_err(io::Error::other)?;
        let sum = ractor::call!(adder, |reply| (2, reply)).map_err(io::Error::other)?;
        assert_eq!(sum, 42);
        adder.stop(None);
        handle.await?;
        Ok(())
    })
}

/// Both ends of a link between processes, with a descriptor sent over it.
fn link() -> io::Result<()> {
    runtime()?.block_on(async {
        let (left, right) = UnixStream::pair()?;
        let (left, right) = tokio::join!(
            ipc::link::establish::<Control, Status>(
                OwnedFd::from(left),
                Role::Loader,
                1,
                Role::Supervisor
            ),
            ipc::link::establish::<Status, Control>(
                OwnedFd::from(right),
                Role::Supervisor,
                1,
                Role::Loader
            ),
        );
        let (status, _control, _) = left.map_err(io::Error::other)?;
        let (_, mut statuses, _) = right.map_err(io::Error::other)?;
        status
            .send(0, &Status::Drained, &[])
            .await
            .map_err(io::Error::other)?;
        // A message before its phase is refused; what counts here is that it was sent and received.
        let _received = tokio::time::timeout(Duration::from_secs(5), statuses.receive()).await?;
        Ok(())
    })
}

/// Descriptor 3 as a helper uses it: a deadline, and a descriptor beside a message. It is connected to itself.
fn blocking() -> io::Result<()> {
    let socket = UnixDatagram::from(raw::borrow(3).try_clone_to_owned()?);
    socket.set_read_timeout(Some(Duration::from_millis(5)))?;
    let waited = socket.recv(&mut [0]).map_err(|error| error.kind());
    assert_eq!(waited, Err(io::ErrorKind::WouldBlock));
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed = [raw::borrow(2)];
    assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
    sendmsg(
        &socket,
        &[IoSlice::new(b"x")],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    let mut polled = [PollFd::new(&socket, PollFlags::IN)];
    assert_eq!(
        poll(
            &mut polled,
            Some(&Timespec {
                tv_sec: 1,
                tv_nsec: 0
            })
        )?,
        1
    );
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(
        &socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let received = control
        .drain()
        .any(|message| matches!(message, RecvAncillaryMessage::ScmRights(_)));
    assert!(received && byte == *b"x");
    std::thread::sleep(Duration::from_millis(1));
    rustix::net::sockopt::socket_type(&socket)?;
    Ok(())
}

/// A store that is made, written, closed, opened again, compacted and read.
fn rocksdb(directory: &Path) -> io::Result<()> {
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_background_jobs(2);
    options.set_max_open_files(32);
    options.set_keep_log_file_num(2);
    for round in 0..3u8 {
        let families = ["default", "programs"];
        let store =
            rocksdb::DB::open_cf(&options, directory, families).map_err(io::Error::other)?;
        let programs = store
            .cf_handle("programs")
            .ok_or_else(|| io::Error::other("no family"))?;
        let mut synchronous = rocksdb::WriteOptions::default();
        synchronous.set_sync(true);
        for key in 0..200u8 {
            let mut batch = rocksdb::WriteBatch::default();
            batch.put_cf(programs, [round, key], vec![key; 4096]);
            store
                .write_opt(batch, &synchronous)
                .map_err(io::Error::other)?;
        }
        store.flush_cf(programs).map_err(io::Error::other)?;
        store.compact_range_cf(programs, None::<&[u8]>, None::<&[u8]>);
        let value = store.get_cf(programs, [0, 7]).map_err(io::Error::other)?;
        assert_eq!(value, Some(vec![7; 4096]));
    }
    rocksdb::DB::destroy(&options, directory).map_err(io::Error::other)
}

/// Asks for this many megabytes at once, without the abort that a failed allocation of std is.
fn memory(megabytes: usize) -> io::Result<()> {
    let mut block: Vec<u8> = Vec::new();
    block
        .try_reserve_exact(megabytes << 20)
        .map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))
}
