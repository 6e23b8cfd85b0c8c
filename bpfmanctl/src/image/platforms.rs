//! Machines that images are made for, as builders, Go and cilium/ebpf call them.

/// One of them.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Machine {
    /// Go's name.
    pub(crate) architecture: &'static str,
    /// Argument of a container build.
    pub(crate) argument: &'static str,
    /// Whether its bytecode has the most significant byte first.
    pub(crate) big_endian: bool,
    /// What cilium/ebpf's bpf2go calls it in names of files.
    tokens: &'static [&'static str],
}

const fn little(
    architecture: &'static str,
    argument: &'static str,
    tokens: &'static [&'static str],
) -> Machine {
    Machine {
        architecture,
        argument,
        big_endian: false,
        tokens,
    }
}

const fn big(
    architecture: &'static str,
    argument: &'static str,
    tokens: &'static [&'static str],
) -> Machine {
    Machine {
        big_endian: true,
        ..little(architecture, argument, tokens)
    }
}

/// All of them.
pub(crate) static MACHINES: [Machine; 13] = [
    little("386", "BC_386_EL", &["386"]),
    little("amd64", "BC_AMD64_EL", &["x86"]),
    little("arm", "BC_ARM_EL", &["arm"]),
    little("arm64", "BC_ARM64_EL", &["arm64"]),
    little("loong64", "BC_LOONG64_EL", &["loongarch", "loong64"]),
    big("mips", "BC_MIPS_EB", &["mips"]),
    little("mipsle", "BC_MIPSLE_EL", &["mipsle"]),
    big("mips64", "BC_MIPS64_EB", &["mips64"]),
    little("mips64le", "BC_MIPS64LE_EL", &["mips64le"]),
    big("ppc64", "BC_PPC64_EB", &["powerpc", "ppc64"]),
    little("ppc64le", "BC_PPC64LE_EL", &["powerpc", "ppc64le"]),
    little("riscv64", "BC_RISCV64_EL", &["riscv", "riscv64"]),
    big("s390x", "BC_S390X_EB", &["s390", "s390x"]),
];

impl Machine {
    /// `linux/amd64`.
    pub(crate) fn platform(&self) -> String {
        format!("linux/{}", self.architecture)
    }

    /// By `linux/ARCHITECTURE`.
    pub(crate) fn named(platform: &str) -> Option<&'static Self> {
        let architecture = platform.strip_prefix("linux/")?;
        MACHINES
            .iter()
            .find(|machine| machine.architecture == architecture)
    }

    /// This one.
    pub(crate) fn host() -> Option<&'static Self> {
        let host = oci::manifest::Platform::host();
        MACHINES
            .iter()
            .find(|machine| machine.architecture == host.architecture)
    }

    /// By the name of a file of bpf2go: `counter_bpfel_x86.o`.
    pub(crate) fn of_cilium_file(stem: &str) -> Option<&'static Self> {
        let stem = stem.to_lowercase();
        let tokens: Vec<&str> = stem.split(['_', '-', '.']).collect();
        let big_endian = match (tokens.contains(&"bpfel"), tokens.contains(&"bpfeb")) {
            (true, false) => false,
            (false, true) => true,
            _ => return None,
        };
        MACHINES.iter().find(|machine| {
            machine.big_endian == big_endian
                && machine.tokens.iter().any(|token| tokens.contains(token))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_cilium_name_their_machine() {
        for (stem, architecture) in [
            ("counter_bpfel_x86", Some("amd64")),
            ("counter_x86_bpfel", Some("amd64")),
            ("Counter-BPFEL-arm64", Some("arm64")),
            ("counter_bpfeb_s390", Some("s390x")),
            ("counter_bpfeb_powerpc", Some("ppc64")),
            ("counter_bpfel_powerpc", Some("ppc64le")),
            ("counter_bpfel_loongarch", Some("loong64")),
            ("counter_bpfel_riscv", Some("riscv64")),
            ("counter_bpfel_386", Some("386")),
            // bpf2go does not call it so.
            ("counter_bpfel_amd64", None),
            ("counter_bpfel_s390", None),
            ("counter_bpfel", None),
            ("counter_x86", None),
            ("counter_bpfel_bpfeb_x86", None),
        ] {
            let found = Machine::of_cilium_file(stem).map(|machine| machine.architecture);
            assert_eq!(found, architecture, "{stem}");
        }
    }

    #[test]
    fn platforms_are_found_by_their_name() {
        for machine in &MACHINES {
            assert_eq!(Machine::named(&machine.platform()), Some(machine));
        }
        for other in ["amd64", "windows/amd64", "linux/", "linux/amd64/v2", ""] {
            assert_eq!(Machine::named(other), None, "{other}");
        }
        assert!(Machine::host().is_some());
    }
}
