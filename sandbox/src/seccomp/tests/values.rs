//! Names of values in policy files mean the numbers beside them.

use super::*;
use schema::Condition;

#[test]
fn names_of_values_mean_their_numbers() {
    let mut conditions: Vec<Condition> = Vec::new();
    for (_, json) in POLICIES.iter().chain(&base::LISTS) {
        let file = PolicyFile::parse(json).unwrap();
        conditions.extend(file.allow.into_iter().flat_map(|rule| rule.when));
        conditions.extend(file.refuse.into_iter().flat_map(|refusal| refusal.when));
    }
    assert!(conditions.len() > 20);
    for (name, number) in conditions.iter().flat_map(|condition| &condition.values) {
        assert_eq!(known(name), Some(number.0), "{name}");
    }
}

/// Names that libc knows, as it knows them here. The numbers are the same on both architectures.
fn known(name: &str) -> Option<u64> {
    Some(match name {
        "AF_UNIX" => libc::AF_UNIX as u64,
        "AF_INET" => libc::AF_INET as u64,
        "AF_INET6" => libc::AF_INET6 as u64,
        "IPPROTO_TCP" => libc::IPPROTO_TCP as u64,
        "TCP_NODELAY" => libc::TCP_NODELAY as u64,
        "TCP_KEEPIDLE" => libc::TCP_KEEPIDLE as u64,
        "TCP_KEEPINTVL" => libc::TCP_KEEPINTVL as u64,
        "TCP_KEEPCNT" => libc::TCP_KEEPCNT as u64,
        "TCP_USER_TIMEOUT" => libc::TCP_USER_TIMEOUT as u64,
        "SO_REUSEADDR" => libc::SO_REUSEADDR as u64,
        "SO_KEEPALIVE" => libc::SO_KEEPALIVE as u64,
        "AF_NETLINK" => libc::AF_NETLINK as u64,
        "AT_EMPTY_PATH" => libc::AT_EMPTY_PATH as u64,
        "AT_REMOVEDIR" => libc::AT_REMOVEDIR as u64,
        "AT_SYMLINK_NOFOLLOW" => libc::AT_SYMLINK_NOFOLLOW as u64,
        "LOCK_EX|LOCK_NB" => (libc::LOCK_EX | libc::LOCK_NB) as u64,
        "MNT_DETACH" => libc::MNT_DETACH as u64,
        // linux/mount.h.
        "MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH" => 0x4 | 0x40,
        "FSCONFIG_SET_FLAG" => 0,
        "FSCONFIG_SET_STRING" => 1,
        "FSCONFIG_CMD_CREATE" => 6,
        "FSCONFIG_CMD_RECONFIGURE" => 7,
        // O_PATH, O_DIRECTORY, O_LARGEFILE, O_CLOEXEC, and O_NOFOLLOW: asm/fcntl.h of each architecture.
        "x86-64: pass through a directory" => 0x20_0000 | 0x1_0000 | 0x8000 | 0x8_0000,
        "x86-64: pass through a directory, no link" => {
            0x20_0000 | 0x1_0000 | 0x8000 | 0x8_0000 | 0x2_0000
        }
        "x86-64: list a directory, no link" => 0x1_0000 | 0x8000 | 0x8_0000 | 0x2_0000,
        "aarch64: pass through a directory" => 0x20_0000 | 0x4000 | 0x2_0000 | 0x8_0000,
        "aarch64: pass through a directory, no link" => {
            0x20_0000 | 0x4000 | 0x2_0000 | 0x8_0000 | 0x8000
        }
        "aarch64: list a directory, no link" => 0x4000 | 0x2_0000 | 0x8_0000 | 0x8000,
        "CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|CLONE_SETTLS|CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID" => {
            (libc::CLONE_VM
                | libc::CLONE_FS
                | libc::CLONE_FILES
                | libc::CLONE_SIGHAND
                | libc::CLONE_THREAD
                | libc::CLONE_SYSVSEM
                | libc::CLONE_SETTLS
                | libc::CLONE_PARENT_SETTID
                | libc::CLONE_CHILD_CLEARTID) as u64
        }
        "CLONE_NEWNET" => libc::CLONE_NEWNET as u64,
        "O_WRONLY" => libc::O_WRONLY as u64,
        "O_RDWR" => libc::O_RDWR as u64,
        "O_CREAT" => libc::O_CREAT as u64,
        "O_TRUNC" => libc::O_TRUNC as u64,
        "F_GETFD" => libc::F_GETFD as u64,
        "F_SETFD" => libc::F_SETFD as u64,
        "F_GETFL" => libc::F_GETFL as u64,
        "F_SETFL" => libc::F_SETFL as u64,
        "F_DUPFD_CLOEXEC" => libc::F_DUPFD_CLOEXEC as u64,
        "F_SETLK" => libc::F_SETLK as u64,
        "F_ADD_SEALS" => libc::F_ADD_SEALS as u64,
        "F_GET_SEALS" => libc::F_GET_SEALS as u64,
        // F_LINUX_SPECIFIC_BASE and a number: linux/fcntl.h.
        "F_GET_RW_HINT" => 1024 + 11,
        "F_SET_RW_HINT" => 1024 + 12,
        "F_SET_FILE_RW_HINT" => 1024 + 14,
        "FIONREAD" => libc::FIONREAD,
        "FIONBIO" => libc::FIONBIO,
        "TCGETS" => libc::TCGETS,
        "SIOCGIFNAME" => libc::SIOCGIFNAME,
        "SIOCGIFINDEX" => libc::SIOCGIFINDEX,
        "NETLINK_ROUTE" => libc::NETLINK_ROUTE as u64,
        // _IO(0xb7, 0x3): linux/nsfs.h.
        "NS_GET_NSTYPE" => (0xb7 << 8) | 3,
        "NULL" => 0,
        "PROT_EXEC" => libc::PROT_EXEC as u64,
        "PR_GET_DUMPABLE" => libc::PR_GET_DUMPABLE as u64,
        "PR_SET_NAME" => libc::PR_SET_NAME as u64,
        "SIGABRT" => libc::SIGABRT as u64,
        "SOL_SOCKET" => libc::SOL_SOCKET as u64,
        "SOL_NETLINK" => libc::SOL_NETLINK as u64,
        "SO_SNDBUF" => libc::SO_SNDBUF as u64,
        "SO_RCVBUF" => libc::SO_RCVBUF as u64,
        "SO_PASSCRED" => libc::SO_PASSCRED as u64,
        "SO_RCVTIMEO" => libc::SO_RCVTIMEO as u64,
        "SO_SNDTIMEO" => libc::SO_SNDTIMEO as u64,
        "rwxrwxrwx" => 0o777,
        "keep the owner" => u64::from(u32::MAX),
        // _IO('$', 0), _IO('$', 1), _IOW('$', 8, __u32).
        "PERF_EVENT_IOC_ENABLE" => 0x24 << 8,
        "PERF_EVENT_IOC_DISABLE" => (0x24 << 8) | 1,
        "PERF_EVENT_IOC_SET_BPF" => (1 << 30) | (4 << 16) | (0x24 << 8) | 8,
        // The position in enum bpf_cmd.
        bpf => {
            let position = BPF_COMMANDS
                .iter()
                .position(|command| bpf.strip_prefix("BPF_") == Some(command))?;
            position as u64
        }
    })
}

/// `enum bpf_cmd` of linux/bpf.h, in order.
const BPF_COMMANDS: [&str; 37] = [
    "MAP_CREATE",
    "MAP_LOOKUP_ELEM",
    "MAP_UPDATE_ELEM",
    "MAP_DELETE_ELEM",
    "MAP_GET_NEXT_KEY",
    "PROG_LOAD",
    "OBJ_PIN",
    "OBJ_GET",
    "PROG_ATTACH",
    "PROG_DETACH",
    "PROG_TEST_RUN",
    "PROG_GET_NEXT_ID",
    "MAP_GET_NEXT_ID",
    "PROG_GET_FD_BY_ID",
    "MAP_GET_FD_BY_ID",
    "OBJ_GET_INFO_BY_FD",
    "PROG_QUERY",
    "RAW_TRACEPOINT_OPEN",
    "BTF_LOAD",
    "BTF_GET_FD_BY_ID",
    "TASK_FD_QUERY",
    "MAP_LOOKUP_AND_DELETE_ELEM",
    "MAP_FREEZE",
    "BTF_GET_NEXT_ID",
    "MAP_LOOKUP_BATCH",
    "MAP_LOOKUP_AND_DELETE_BATCH",
    "MAP_UPDATE_BATCH",
    "MAP_DELETE_BATCH",
    "LINK_CREATE",
    "LINK_UPDATE",
    "LINK_GET_FD_BY_ID",
    "LINK_GET_NEXT_ID",
    "ENABLE_STATS",
    "ITER_CREATE",
    "LINK_DETACH",
    "PROG_BIND_MAP",
    "TOKEN_CREATE",
];
