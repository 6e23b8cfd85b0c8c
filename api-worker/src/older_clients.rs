//! Answers for clients that speak an older version of the protocol than this build.
//!
//! Such a client cannot decode variants that came later, and would drop the connection over one. It is told so instead.

use ipc::build;
use ipc::messages::client::ClientReply;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::{Program, ProgramRecord, Source};

/// The answer, or in its place why a client of this version cannot be given it.
pub fn fit(answer: ClientReply, version: u16) -> ClientReply {
    if since(&answer) <= version {
        return answer;
    }
    let cause = format!(
        "the answer is about kinds of program or link that version {version} does not know"
    );
    let failure = Failure::new(FailureCode::FailedPrecondition, Stage::Query, cause);
    ClientReply::Failed(failure.remedy("use the bpfmanctl that belongs to this bpfmand"))
}

/// First version that knows everything in the answer.
fn since(answer: &ClientReply) -> u16 {
    match answer {
        ClientReply::Link(link) => link.record.since(),
        ClientReply::Links(links) => newest(
            links
                .iter()
                .map(|link| link.record.since().max(link.program_kind.since())),
        ),
        ClientReply::Program(program) => of_program(program),
        ClientReply::Loaded(programs) => newest(programs.iter().map(of_program)),
        ClientReply::Programs(programs) => {
            newest(programs.iter().map(|program| of_record(&program.record)))
        }
        ClientReply::Dispatchers(_) | ClientReply::Chain(_) | ClientReply::Hooks(_) => 2,
        ClientReply::Pulled(_)
        | ClientReply::Progress(_)
        | ClientReply::Images(_)
        | ClientReply::Pruned { .. } => 2,
        _ => build::OLDEST_CLIENT_VERSION,
    }
}

fn of_program(program: &Program) -> u16 {
    newest(program.links.iter().map(|link| link.record.since())).max(of_record(&program.record))
}

fn of_record(record: &ProgramRecord) -> u16 {
    match record.source {
        Source::File(_) => record.kind.since(),
        Source::Image(_) => 2,
    }
}

fn newest(versions: impl Iterator<Item = u16>) -> u16 {
    versions.max().unwrap_or(build::OLDEST_CLIENT_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::attach::{LinkDetails, LinkEntry, LinkRecord};
    use ipc::messages::program::ProgramKind;

    fn entry(details: LinkDetails) -> LinkEntry {
        LinkEntry {
            record: LinkRecord {
                id: 1,
                program_id: 2,
                kernel_link_id: None,
                kind: ProgramKind::Kprobe,
                pin_path: String::new(),
                details,
                created_at: 0,
                metadata: Default::default(),
            },
            program_name: String::new(),
            program_kind: ProgramKind::Kprobe,
            program_metadata: Default::default(),
        }
    }

    #[test]
    fn only_what_a_client_knows_is_sent_to_it() {
        let known = entry(LinkDetails::Tracepoint {
            group: "a".to_owned(),
            name: "b".to_owned(),
        });
        let newer = entry(LinkDetails::Lsm {
            hook: "file_open".to_owned(),
        });
        let both = ClientReply::Links(vec![known.clone(), newer]);
        assert_eq!(fit(both.clone(), 2), both);
        let known = ClientReply::Links(vec![known]);
        assert_eq!(fit(known.clone(), 1), known);
        assert!(matches!(
            fit(both, 1),
            ClientReply::Failed(failure) if failure.code == FailureCode::FailedPrecondition
        ));
    }
}
