//! Which rows of a list are wanted: pure functions over the service's whole list.

use crate::parse::LabelSelector;
use ipc::messages::attach::LinkEntry;
use ipc::messages::kernel::{KernelLink, KernelProgram};
use ipc::messages::program::{ProgramEntry, ProgramKind};
use std::collections::BTreeMap;

/// The label that names the application of a program.
pub(crate) const APPLICATION: &str = "bpfman.io/application";

/// A type of programs that is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WantedType {
    /// One of bpfman's.
    Kind(ProgramKind),
    /// One of the kernel's (`enum bpf_prog_type`): any of bpfman's that the kernel takes for that.
    Kernel(u32),
}

impl WantedType {
    fn matches(self, kind: ProgramKind) -> bool {
        match self {
            WantedType::Kind(wanted) => wanted == kind,
            WantedType::Kernel(wanted) => wanted == kind.kernel_type(),
        }
    }

    fn kernel_type(self) -> u32 {
        match self {
            WantedType::Kind(kind) => kind.kernel_type(),
            WantedType::Kernel(number) => number,
        }
    }
}

/// What `program list` was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProgramFilter {
    /// With a live link, or without; `None` for both.
    pub(crate) attached: Option<bool>,
    /// Any of these; empty for all.
    pub(crate) types: Vec<WantedType>,
    pub(crate) application: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) selector: Option<LabelSelector>,
}

impl ProgramFilter {
    pub(crate) fn matches(&self, entry: &ProgramEntry) -> bool {
        let labels = &entry.record.metadata;
        self.attached
            .is_none_or(|attached| attached == entry.attached)
            && any_of(&self.types, entry.record.kind)
            && is_of(self.application.as_deref(), labels)
            && has_all(&self.labels, labels)
            && self
                .selector
                .as_ref()
                .is_none_or(|selector| selector.matches(labels))
    }
}

impl ProgramFilter {
    /// Of programs that are not bpfman's only the type is known: conditions on links and labels exclude them.
    pub(crate) fn matches_foreign(&self, program: &KernelProgram) -> bool {
        self.attached.is_none()
            && self.application.is_none()
            && self.labels.is_empty()
            && self.selector.is_none()
            && of_any_in_kernel(&self.types, program.prog_type)
    }
}

/// What `link list` was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkFilter {
    pub(crate) program_id: Option<u32>,
    /// Any of these link kinds; empty for all.
    pub(crate) kinds: Vec<WantedType>,
    /// Any of these types of the program behind the link; empty for all.
    pub(crate) program_types: Vec<WantedType>,
    /// Of the program behind the link, as are the labels.
    pub(crate) application: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
}

impl LinkFilter {
    pub(crate) fn matches(&self, entry: &LinkEntry) -> bool {
        let labels = &entry.program_metadata;
        self.program_id
            .is_none_or(|id| id == entry.record.program_id)
            && any_of(&self.kinds, entry.record.kind)
            && any_of(&self.program_types, entry.program_kind)
            && is_of(self.application.as_deref(), labels)
            && has_all(&self.labels, labels)
    }
}

impl LinkFilter {
    /// As [`ProgramFilter::matches_foreign`]. A link of which the program is not known is of no type.
    pub(crate) fn matches_foreign(&self, link: &KernelLink, programs: &[KernelProgram]) -> bool {
        let program = programs
            .iter()
            .find(|program| program.id == link.program_id);
        let is_of = |types: &[WantedType]| {
            types.is_empty()
                || program.is_some_and(|program| of_any_in_kernel(types, program.prog_type))
        };
        self.program_id.is_none_or(|id| id == link.program_id)
            && self.application.is_none()
            && self.labels.is_empty()
            && is_of(&self.kinds)
            && is_of(&self.program_types)
    }
}

fn of_any_in_kernel(wanted: &[WantedType], kernel: u32) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| wanted.kernel_type() == kernel)
}

/// The application that labels name, empty for none.
pub(crate) fn application(labels: &BTreeMap<String, String>) -> &str {
    labels.get(APPLICATION).map_or("", String::as_str)
}

fn any_of(wanted: &[WantedType], kind: ProgramKind) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| wanted.matches(kind))
}

fn is_of(wanted: Option<&str>, labels: &BTreeMap<String, String>) -> bool {
    wanted.is_none_or(|wanted| labels.get(APPLICATION).is_some_and(|name| name == wanted))
}

fn has_all(wanted: &[(String, String)], labels: &BTreeMap<String, String>) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::WantedType::{Kernel, Kind};
    use super::*;
    use crate::parse::label_selector;
    use crate::samples;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn programs_fit_when_every_condition_holds() {
        let mut entry = samples::program_entry();
        entry.record.metadata = BTreeMap::from([
            pair("owner", "acme"),
            pair(APPLICATION, "shop"),
            pair("n", "3"),
        ]);
        entry.attached = true;
        let all = ProgramFilter {
            attached: Some(true),
            types: vec![Kind(ProgramKind::Tc), Kind(ProgramKind::Xdp)],
            application: Some("shop".to_owned()),
            labels: vec![pair("owner", "acme"), pair("n", "3")],
            selector: Some(label_selector("n>2,owner in (acme)").unwrap()),
        };
        assert!(ProgramFilter::default().matches(&entry));
        assert!(all.matches(&entry));
        let refusals: [fn(&mut ProgramFilter); 5] = [
            |filter| filter.attached = Some(false),
            |filter| filter.types = vec![Kind(ProgramKind::Tc), Kernel(3)],
            |filter| filter.application = Some("other".to_owned()),
            |filter| filter.labels.push(pair("owner", "x")),
            |filter| filter.selector = Some(label_selector("!owner").unwrap()),
        ];
        for (index, spoil) in refusals.into_iter().enumerate() {
            let mut filter = all.clone();
            spoil(&mut filter);
            assert!(!filter.matches(&entry), "condition {index}");
        }
    }

    #[test]
    fn what_is_not_known_of_foreign_programs_excludes_them() {
        let classifier = KernelProgram {
            id: 7,
            prog_type: 3,
            ..KernelProgram::default()
        };
        let of = |types: &[WantedType]| ProgramFilter {
            types: types.to_vec(),
            ..ProgramFilter::default()
        };
        assert!(of(&[]).matches_foreign(&classifier));
        assert!(of(&[Kind(ProgramKind::Xdp), Kind(ProgramKind::Tcx)]).matches_foreign(&classifier));
        assert!(of(&[Kernel(3)]).matches_foreign(&classifier));
        assert!(!of(&[Kind(ProgramKind::Xdp), Kernel(4)]).matches_foreign(&classifier));
        let excluding: [fn(&mut ProgramFilter); 5] = [
            |filter| filter.attached = Some(true),
            |filter| filter.attached = Some(false),
            |filter| filter.application = Some("shop".to_owned()),
            |filter| filter.labels.push(pair("owner", "acme")),
            |filter| filter.selector = Some(label_selector("!owner").unwrap()),
        ];
        for (index, exclude) in excluding.into_iter().enumerate() {
            let mut filter = of(&[]);
            exclude(&mut filter);
            assert!(!filter.matches_foreign(&classifier), "condition {index}");
        }

        let link = KernelLink {
            program_id: 7,
            ..KernelLink::default()
        };
        let programs = [classifier];
        let filter = |kinds: &[WantedType], program_id| LinkFilter {
            kinds: kinds.to_vec(),
            program_id,
            ..LinkFilter::default()
        };
        assert!(filter(&[], None).matches_foreign(&link, &programs));
        assert!(filter(&[Kind(ProgramKind::Tc)], Some(7)).matches_foreign(&link, &programs));
        assert!(!filter(&[Kind(ProgramKind::Tc)], None).matches_foreign(&link, &[]));
        assert!(!filter(&[Kind(ProgramKind::Xdp)], None).matches_foreign(&link, &programs));
        assert!(!filter(&[], Some(8)).matches_foreign(&link, &programs));
    }

    #[test]
    fn links_are_chosen_by_their_program() {
        let mut entry = samples::link_entry();
        entry.record.kind = ProgramKind::Uretprobe;
        entry.record.metadata = BTreeMap::from([pair("link", "label")]);
        entry.program_kind = ProgramKind::Uretprobe;
        entry.program_metadata = BTreeMap::from([pair("owner", "acme"), pair(APPLICATION, "shop")]);
        let all = LinkFilter {
            program_id: Some(entry.record.program_id),
            kinds: vec![Kind(ProgramKind::Uprobe), Kind(ProgramKind::Uretprobe)],
            program_types: vec![Kernel(2)],
            application: Some("shop".to_owned()),
            labels: vec![pair("owner", "acme")],
        };
        assert!(LinkFilter::default().matches(&entry));
        assert!(all.matches(&entry));
        let refusals: [fn(&mut LinkFilter); 5] = [
            |filter| filter.program_id = Some(1),
            |filter| filter.kinds = vec![Kind(ProgramKind::Uprobe)],
            |filter| filter.program_types = vec![Kind(ProgramKind::Xdp), Kernel(1)],
            |filter| filter.application = Some("other".to_owned()),
            |filter| filter.labels.push(pair("link", "label")),
        ];
        for (index, spoil) in refusals.into_iter().enumerate() {
            let mut filter = all.clone();
            spoil(&mut filter);
            assert!(!filter.matches(&entry), "condition {index}");
        }
    }
}
