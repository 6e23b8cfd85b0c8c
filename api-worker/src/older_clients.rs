//! Answers for clients that speak an older version of the protocol than this build.
//!
//! Such a client cannot decode variants that came later, and would drop the connection over one. It is told so instead.

use ipc::messages::attach::LinkDetails;
use ipc::messages::client::ClientReply;
use ipc::messages::failure::{Failure, FailureCode, Stage};

/// The answer, or in its place why a client of this version cannot be given it.
pub fn fit(answer: ClientReply, version: u16) -> ClientReply {
    if details(&answer).all(|details| details.since() <= version) {
        return answer;
    }
    let cause = format!("the answer is about kinds of link that version {version} does not know");
    let failure = Failure::new(FailureCode::FailedPrecondition, Stage::Query, cause);
    ClientReply::Failed(failure.remedy("use the bpfmanctl that belongs to this bpfmand"))
}

/// Of every link in the answer.
fn details(answer: &ClientReply) -> Box<dyn Iterator<Item = &LinkDetails> + '_> {
    match answer {
        ClientReply::Link(link) => Box::new(std::iter::once(&link.record.details)),
        ClientReply::Links(links) => Box::new(links.iter().map(|link| &link.record.details)),
        ClientReply::Program(program) => {
            Box::new(program.links.iter().map(|link| &link.record.details))
        }
        // A program has no link when it is loaded, and a row of the list names links by number.
        _ => Box::new(std::iter::empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::attach::{LinkEntry, LinkRecord};
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
