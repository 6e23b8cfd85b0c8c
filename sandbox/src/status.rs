//! `/proc/<pid>/status`, as far as the sandbox and `bpfmanctl status` need it.

/// What the kernel says about a process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProcessStatus {
    /// Process id.
    pub pid: u32,
    /// Real, effective, saved user ids.
    pub uids: [u32; 3],
    /// Real, effective, saved group ids.
    pub gids: [u32; 3],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Resident bytes; 0 for a process without memory (a zombie).
    pub resident_bytes: u64,
    /// Threads.
    pub threads: u32,
    /// CapInh.
    pub inheritable: u64,
    /// CapPrm.
    pub permitted: u64,
    /// CapEff.
    pub effective: u64,
    /// CapBnd.
    pub bounding: u64,
    /// CapAmb.
    pub ambient: u64,
    /// NoNewPrivs.
    pub no_new_privs: bool,
    /// Seccomp mode: 0 none, 2 filter.
    pub seccomp_mode: u8,
    /// Number of seccomp filters.
    pub seccomp_filters: u32,
}

/// A line that is missing or does not parse.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("the status of the process has no readable {0}")]
pub struct StatusError(&'static str);

impl ProcessStatus {
    /// Parses the text of the file.
    pub fn parse(text: &str) -> Result<Self, StatusError> {
        let value = |key: &'static str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
                .map(str::trim)
                .ok_or(StatusError(key))
        };
        let number = |key| value(key)?.parse::<u32>().map_err(|_| StatusError(key));
        let set = |key| u64::from_str_radix(value(key)?, 16).map_err(|_| StatusError(key));
        let ids = |key| -> Result<Vec<u32>, StatusError> {
            value(key)?
                .split_whitespace()
                .map(|id| id.parse().map_err(|_| StatusError(key)))
                .collect()
        };
        // The fourth is the one for files, which nothing sets apart.
        let first_three = |key| match ids(key)?[..] {
            [real, effective, saved, _] => Ok([real, effective, saved]),
            _ => Err(StatusError(key)),
        };
        let resident_bytes = match value("VmRSS") {
            Ok(size) => size
                .strip_suffix("kB")
                .and_then(|kilobytes| kilobytes.trim().parse::<u64>().ok())
                .and_then(|kilobytes| kilobytes.checked_mul(1024))
                .ok_or(StatusError("VmRSS"))?,
            Err(_) => 0,
        };
        Ok(Self {
            pid: number("Pid")?,
            uids: first_three("Uid")?,
            gids: first_three("Gid")?,
            groups: ids("Groups")?,
            resident_bytes,
            threads: number("Threads")?,
            inheritable: set("CapInh")?,
            permitted: set("CapPrm")?,
            effective: set("CapEff")?,
            bounding: set("CapBnd")?,
            ambient: set("CapAmb")?,
            no_new_privs: number("NoNewPrivs")? == 1,
            seccomp_mode: u8::try_from(number("Seccomp")?).map_err(|_| StatusError("Seccomp"))?,
            seccomp_filters: number("Seccomp_filters")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tbpfman-loader\nUmask:\t0077\nPid:\t77\nPPid:\t1\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n\
        Groups:\t20 30 \nVmRSS:\t    3300 kB\nThreads:\t1\nCapInh:\t0000000000000000\nCapPrm:\t000000c000001000\n\
        CapEff:\t000000c000001000\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000001\nNoNewPrivs:\t1\nSeccomp:\t2\n\
        Seccomp_filters:\t3\n";

    #[test]
    fn a_status_is_read() {
        assert_eq!(
            ProcessStatus::parse(STATUS),
            Ok(ProcessStatus {
                pid: 77,
                uids: [1, 2, 3],
                gids: [5, 6, 7],
                groups: vec![20, 30],
                resident_bytes: 3300 * 1024,
                threads: 1,
                inheritable: 0,
                permitted: 0xc0_0000_1000,
                effective: 0xc0_0000_1000,
                bounding: 0x1ff_ffff_ffff,
                ambient: 1,
                no_new_privs: true,
                seccomp_mode: 2,
                seccomp_filters: 3,
            })
        );
    }

    #[test]
    fn the_own_status_is_read() {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        assert_eq!(ProcessStatus::parse(&text).unwrap().pid, std::process::id());
    }

    #[test]
    fn each_missing_line_is_named() {
        for key in [
            "Pid",
            "Uid",
            "Gid",
            "Groups",
            "Threads",
            "CapEff",
            "CapBnd",
            "NoNewPrivs",
            "Seccomp",
        ] {
            let without: String = STATUS
                .lines()
                .filter(|line| !line.starts_with(&format!("{key}:")))
                .map(|line| format!("{line}\n"))
                .collect();
            assert_eq!(ProcessStatus::parse(&without), Err(StatusError(key)));
        }
    }

    #[test]
    fn rubbish_is_refused() {
        assert!(ProcessStatus::parse("").is_err());
        assert!(ProcessStatus::parse(&STATUS.replace("0000000000000000", "x")).is_err());
        assert!(
            ProcessStatus::parse(&STATUS.replace("3300 kB", "18446744073709551615 kB")).is_err()
        );
    }
}
