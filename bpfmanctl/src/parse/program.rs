//! Programs of a load request.

use super::suggestion;
use crate::kernel_names::program_type_number;
use crate::select::WantedType;
use ipc::messages::program::{MAPS_MODE_BITS, ProgramKind, ProgramRequest};

/// `TYPE:NAME[:ATTACH_FUNC]`; the type is exact here, unlike in filters.
pub(crate) fn program_spec(text: &str) -> Result<ProgramRequest, String> {
    let invalid = |cause: &str| format!("invalid program \"{text}\": {cause}");
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    let (kind, name, function) = match parts[..] {
        [kind, name] => (kind, name, None),
        [kind, name, function] => (
            kind,
            name,
            Some(function).filter(|function| !function.is_empty()),
        ),
        _ => return Err(invalid("must be TYPE:NAME or TYPE:NAME:ATTACH_FUNC")),
    };
    let kind: ProgramKind = kind.parse().map_err(|_| invalid(&unknown("type", kind)))?;
    if name.is_empty() {
        return Err(invalid("the name is empty"));
    }
    let attach_function = match (takes_function(kind), function) {
        (true, None) => {
            return Err(invalid(&format!(
                "{kind} needs a function: {kind}:NAME:ATTACH_FUNC"
            )));
        }
        (true, Some(function)) => Some(function.to_owned()),
        // Of these the section may say it.
        (false, function) => function
            .filter(|_| kind.is_fixed() || kind.is_cgroup())
            .map(str::to_owned),
    };
    Ok(ProgramRequest {
        name: name.to_owned(),
        kind,
        attach_function,
    })
}

/// Kinds whose target must be given with the program.
fn takes_function(kind: ProgramKind) -> bool {
    matches!(
        kind,
        ProgramKind::Fentry | ProgramKind::Fexit | ProgramKind::Lsm
    )
}

/// A program type in a filter: one of bpfman's, or one that only the kernel has.
pub(crate) fn program_type(text: &str) -> Result<WantedType, String> {
    let name = text.trim().to_lowercase();
    let kind = name.parse().map(WantedType::Kind);
    kind.or_else(|_| {
        program_type_number(&name)
            .map(WantedType::Kernel)
            .ok_or_else(|| unknown("program type", &name))
    })
}

/// A link kind in a filter.
pub(crate) fn link_kind(text: &str) -> Result<WantedType, String> {
    let name = text.trim().to_lowercase();
    let kind = name.parse().map(WantedType::Kind);
    kind.map_err(|_| unknown("link kind", &name))
}

fn unknown(what: &str, name: &str) -> String {
    let names = ProgramKind::ALL.map(ProgramKind::name);
    format!(
        "unknown {what} \"{name}\"{}; known are {}",
        suggestion(name, names),
        names.join(", ")
    )
}

/// Mode of map pins in octal, with or without a leading `0` or `0o`.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    octal
        .then(|| u32::from_str_radix(digits, 8).ok())
        .flatten()
        .filter(|mode| mode & !MAPS_MODE_BITS == 0)
        .ok_or_else(|| {
            format!("invalid mode \"{text}\": must be read and write bits in octal, like 0640")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_have_a_type_and_a_name() {
        let request = |name: &str, kind, function: Option<&str>| {
            Ok(ProgramRequest {
                name: name.to_owned(),
                kind,
                attach_function: function.map(str::to_owned),
            })
        };
        assert_eq!(
            program_spec("xdp:pass"),
            request("pass", ProgramKind::Xdp, None)
        );
        assert_eq!(
            program_spec(" tcx : count "),
            request("count", ProgramKind::Tcx, None)
        );
        assert_eq!(
            program_spec("xdp:pass:ignored"),
            request("pass", ProgramKind::Xdp, None)
        );
        assert_eq!(
            program_spec("tp_btf:watch:sys_enter"),
            request("watch", ProgramKind::TpBtf, Some("sys_enter"))
        );
        assert_eq!(
            program_spec("cgroup_skb:watch:egress"),
            request("watch", ProgramKind::CgroupSkb, Some("egress"))
        );
        assert_eq!(
            program_spec("iter:watch"),
            request("watch", ProgramKind::Iter, None)
        );
        assert_eq!(
            program_spec("fentry:watch:do_unlinkat"),
            request("watch", ProgramKind::Fentry, Some("do_unlinkat"))
        );
    }

    #[test]
    fn programs_that_make_no_sense() {
        let error = |text| program_spec(text).unwrap_err();
        assert_eq!(
            error("pass"),
            "invalid program \"pass\": must be TYPE:NAME or TYPE:NAME:ATTACH_FUNC"
        );
        assert_eq!(error("xdp:"), "invalid program \"xdp:\": the name is empty");
        assert_eq!(
            error("lsm:check"),
            "invalid program \"lsm:check\": lsm needs a function: lsm:NAME:ATTACH_FUNC"
        );
        assert!(error("fexit:f: ").contains("needs a function"));
        assert!(error("a:b:c:d").contains("must be TYPE:NAME"));
        assert!(error("xpd:pass").contains("unknown type \"xpd\"; did you mean \"xdp\"?"));
        assert!(error("XDP:pass").contains("unknown type \"XDP\""));
        assert!(error("").contains("must be TYPE:NAME"));
    }

    #[test]
    fn filters_take_any_case() {
        assert_eq!(
            program_type(" XDP "),
            Ok(WantedType::Kind(ProgramKind::Xdp))
        );
        assert_eq!(
            link_kind("Uretprobe"),
            Ok(WantedType::Kind(ProgramKind::Uretprobe))
        );
        assert_eq!(program_type("SchedAct"), Ok(WantedType::Kernel(4)));
        assert!(link_kind("schedact").is_err());
        assert!(program_type("uprob").unwrap_err().starts_with(
            "unknown program type \"uprob\"; did you mean \"uprobe\"?; known are xdp, tc, tcx"
        ));
        assert!(
            link_kind("")
                .unwrap_err()
                .starts_with("unknown link kind \"\"; known are")
        );
    }

    #[test]
    fn modes_are_read_and_write_bits_in_octal() {
        assert_eq!(mode("0640"), Ok(0o640));
        assert_eq!(mode("640"), Ok(0o640));
        assert_eq!(mode("0o666"), Ok(0o666));
        assert_eq!(mode("0"), Ok(0));
        for bad in [
            "",
            "0o",
            "0888",
            "0700",
            "667",
            "1000",
            "4640",
            "-1",
            "+7",
            "rw",
            "99999999999999999999",
        ] {
            assert!(
                mode(bad)
                    .unwrap_err()
                    .contains("read and write bits in octal"),
                "{bad}"
            );
        }
    }
}
