//! Who may send which message to whom, in which phase, how large, with how many descriptors.
//!
//! The receiving link looks the header of a frame up here before it reads the body, and again nothing is decoded before
//! the body is complete. A message that is not in the table does not exist. The test below walks every variant of every
//! direction, so that a message cannot be added without a row.

use crate::limits::{
    ATTACH_FRAME_BYTES, FRAME_BYTES, LOAD_FRAME_BYTES, REPORT_FRAME_BYTES, SMALL_FRAME_BYTES,
};
use crate::role::Role;

/// How far a link is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Nothing was received yet: only `Hello`.
    Handshake,
    /// After `Hello`: everything but `Hello`.
    Open,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// Sender.
    pub from: Role,
    /// Receiver.
    pub to: Role,
    /// Index of the variant.
    pub kind: u16,
    /// Name of the variant.
    pub name: &'static str,
    /// When.
    pub phase: Phase,
    /// Largest body.
    pub bytes: u32,
    /// Fewest descriptors.
    pub least_descriptors: u8,
    /// Most descriptors.
    pub most_descriptors: u8,
    /// Whether the sender may repeat it to a new incarnation of the receiver without having seen an answer.
    pub idempotent: bool,
}

const SMALL: u32 = SMALL_FRAME_BYTES;
const LOAD: u32 = LOAD_FRAME_BYTES;
const REPORT: u32 = REPORT_FRAME_BYTES;
const LIST: u32 = FRAME_BYTES;
const ATTACH: u32 = ATTACH_FRAME_BYTES;
const ONCE: bool = false;
const REPEAT: bool = true;

/// A direction with its rows: (name, bytes, descriptors, may be repeated), in the order of the enum after `Hello`.
macro_rules! rows {
    ($from:ident => $to:ident: $( $name:ident $bytes:ident $least:literal..=$most:literal $repeat:ident ),* $(,)?) => {{
        const ROWS: &[Permission] = {
            #[repr(u16)]
            enum Kind { Hello, $($name),* }
            &[
                Permission {
                    from: Role::$from, to: Role::$to, kind: Kind::Hello as u16, name: "Hello", phase: Phase::Handshake,
                    bytes: SMALL, least_descriptors: 0, most_descriptors: 0, idempotent: false,
                },
                $( Permission {
                    from: Role::$from, to: Role::$to, kind: Kind::$name as u16, name: stringify!($name),
                    phase: Phase::Open, bytes: $bytes, least_descriptors: $least, most_descriptors: $most,
                    idempotent: $repeat,
                } ),*
            ]
        };
        ROWS
    }};
}

/// Control messages are the same for every worker; what only some workers get is refused by those that do not.
macro_rules! control {
    ($to:ident) => {
        rows!(Supervisor => $to:
            Activate SMALL 0..=8 ONCE,
            PeerUp SMALL 1..=1 ONCE,
            PeerDown SMALL 0..=0 ONCE,
            HelperStarted SMALL 1..=1 ONCE,
            HelperRefused SMALL 0..=0 ONCE,
            StatusReport ATTACH 0..=0 ONCE,
            Stop SMALL 0..=0 ONCE,
            SetLog SMALL 0..=0 ONCE,
        )
    };
}

macro_rules! status {
    ($from:ident) => {
        rows!($from => Supervisor:
            Ready SMALL 0..=0 ONCE,
            Serving SMALL 0..=0 ONCE,
            PeerFault SMALL 0..=0 ONCE,
            StartHelper SMALL 0..=0 ONCE,
            QueryStatus SMALL 0..=0 REPEAT,
            Drained SMALL 0..=0 ONCE,
        )
    };
}

/// Every direction.
const DIRECTIONS: &[&[Permission]] = &[
    control!(Loader),
    control!(Image),
    control!(Api),
    status!(Loader),
    status!(Image),
    status!(Api),
    rows!(Client => Api:
        Load LOAD 1..=1 ONCE,
        GetProgram SMALL 0..=0 REPEAT,
        ListPrograms SMALL 0..=0 REPEAT,
        Unload SMALL 0..=0 ONCE,
        Attach ATTACH 0..=1 ONCE,
        Detach SMALL 0..=0 ONCE,
        GetLink SMALL 0..=0 REPEAT,
        ListLinks SMALL 0..=0 REPEAT,
        Status SMALL 0..=0 REPEAT,
        Doctor SMALL 0..=0 REPEAT,
        ListKernelPrograms SMALL 0..=0 REPEAT,
        ListKernelMaps SMALL 0..=0 REPEAT,
        ListKernelLinks SMALL 0..=0 REPEAT,
        AttachInNamespace ATTACH 1..=1 ONCE,
        ListDispatchers SMALL 0..=0 REPEAT,
        GetDispatcher SMALL 0..=0 REPEAT,
        ConvertChain SMALL 0..=0 ONCE,
        ShowHooks ATTACH 0..=1 REPEAT,
        LoadTyped LOAD 1..=1 ONCE,
        LoadImage LOAD 0..=1 ONCE,
        PullImage SMALL 0..=1 ONCE,
        PullProgress SMALL 0..=0 REPEAT,
        ListImages SMALL 0..=0 REPEAT,
        PruneImages ATTACH 0..=0 REPEAT,
    ),
    rows!(Api => Client:
        Failed REPORT 0..=0 ONCE,
        Done SMALL 0..=0 ONCE,
        Loaded LIST 0..=0 ONCE,
        Program LIST 0..=0 ONCE,
        Programs LIST 0..=0 ONCE,
        Link REPORT 0..=0 ONCE,
        Links LIST 0..=0 ONCE,
        Status ATTACH 0..=0 ONCE,
        Doctor LIST 0..=0 ONCE,
        KernelPrograms LIST 0..=0 ONCE,
        KernelMaps LIST 0..=0 ONCE,
        KernelLinks LIST 0..=0 ONCE,
        Dispatchers LIST 0..=0 ONCE,
        Chain LIST 0..=0 ONCE,
        Hooks LIST 0..=0 ONCE,
        Pulled ATTACH 0..=0 ONCE,
        Progress SMALL 0..=0 ONCE,
        Images LIST 0..=0 ONCE,
        Pruned SMALL 0..=0 ONCE,
    ),
    rows!(Api => Loader:
        OpenSession SMALL 1..=1 REPEAT,
        CloseSession SMALL 0..=0 REPEAT,
        Load LOAD 0..=0 ONCE,
        CancelLoad SMALL 0..=0 REPEAT,
        Unload SMALL 0..=0 ONCE,
        GetProgram SMALL 0..=0 REPEAT,
        ListPrograms SMALL 0..=0 REPEAT,
        Attach ATTACH 0..=1 ONCE,
        Detach SMALL 0..=0 ONCE,
        GetLink SMALL 0..=0 REPEAT,
        ListLinks SMALL 0..=0 REPEAT,
        Doctor SMALL 0..=0 REPEAT,
        OpenIterator SMALL 0..=0 REPEAT,
        InstallIterators SMALL 0..=0 ONCE,
        ListDispatchers SMALL 0..=0 REPEAT,
        GetDispatcher SMALL 0..=0 REPEAT,
        ConvertChain SMALL 0..=0 ONCE,
        ShowHooks ATTACH 0..=1 REPEAT,
        OpenPath ATTACH 0..=0 REPEAT,
        PublishVolume ATTACH 0..=0 REPEAT,
        UnpublishVolume ATTACH 0..=0 REPEAT,
        Permit SMALL 0..=0 REPEAT,
    ),
    rows!(Loader => Api:
        Failed REPORT 0..=0 ONCE,
        Done SMALL 0..=0 ONCE,
        Loaded LIST 0..=0 ONCE,
        Program LIST 0..=0 ONCE,
        Programs LIST 0..=0 ONCE,
        Link REPORT 0..=0 ONCE,
        Links LIST 0..=0 ONCE,
        Doctor LIST 0..=0 ONCE,
        Iterator SMALL 1..=1 ONCE,
        NoIterator SMALL 0..=0 ONCE,
        Dispatchers LIST 0..=0 ONCE,
        Chain LIST 0..=0 ONCE,
        Hooks LIST 0..=0 ONCE,
        PathOpened SMALL 1..=1 ONCE,
    ),
    rows!(Api => Image:
        Compile LOAD 1..=1 REPEAT,
        ResolveSymbol ATTACH 1..=1 REPEAT,
        CompileIterators SMALL 0..=0 REPEAT,
        ResolveFunctions ATTACH 1..=1 REPEAT,
        ResolveUsdt ATTACH 1..=1 REPEAT,
        Pull SMALL 0..=1 REPEAT,
        CompileImage LOAD 0..=1 REPEAT,
        PullProgress SMALL 0..=0 REPEAT,
        ListImages SMALL 0..=0 REPEAT,
        PruneImages ATTACH 0..=0 REPEAT,
        FindLibrary SMALL 1..=1 REPEAT,
    ),
    rows!(Image => Api:
        Failed REPORT 0..=0 ONCE,
        Delivered SMALL 0..=0 ONCE,
        Symbol SMALL 0..=0 ONCE,
        Places ATTACH 0..=0 ONCE,
        Pulled ATTACH 0..=0 ONCE,
        Progress SMALL 0..=0 ONCE,
        Images LIST 0..=0 ONCE,
        Pruned SMALL 0..=0 ONCE,
        Library ATTACH 0..=0 ONCE,
    ),
    rows!(Image => Loader:
        Plan SMALL 1..=1 ONCE,
        NoPlan REPORT 0..=0 ONCE,
        ImagePlan ATTACH 1..=1 ONCE,
    ),
    rows!(Loader => Image:),
    rows!(Loader => Helper:
        OpenTracepoint SMALL 0..=0 REPEAT,
        OpenUprobe SMALL 1..=1 REPEAT,
        ChangeGroup SMALL 1..=64 REPEAT,
        OpenKprobe SMALL 0..=0 REPEAT,
        FindInterface SMALL 1..=1 REPEAT,
        CreateXdpLink SMALL 2..=2 REPEAT,
        CreateMprogLink SMALL 2..=2 REPEAT,
        OpenSampled SMALL 0..=0 REPEAT,
        OpenPath ATTACH 0..=0 REPEAT,
        DescribeXdp SMALL 0..=0 REPEAT,
        CreateNetfilterLink SMALL 2..=2 REPEAT,
        OpenNetlink SMALL 1..=1 REPEAT,
        NoteInterface SMALL 2..=2 REPEAT,
        PublishVolume ATTACH 1..=64 REPEAT,
        UnpublishVolume ATTACH 0..=0 REPEAT,
        ListMprog SMALL 1..=1 REPEAT,
        OpenLibxdp SMALL 0..=0 REPEAT,
        PublishLibxdp SMALL 2..=20 REPEAT,
        RetireLibxdp SMALL 0..=0 REPEAT,
    ),
    rows!(Helper => Loader:
        Opened SMALL 1..=1 ONCE,
        Changed SMALL 0..=0 ONCE,
        Failed REPORT 0..=0 ONCE,
        Interface SMALL 0..=0 ONCE,
        XdpLink SMALL 1..=1 ONCE,
        XdpProgram SMALL 0..=0 ONCE,
        Volume SMALL 0..=0 ONCE,
        OnMprog ATTACH 0..=0 ONCE,
        LibxdpBusy SMALL 0..=0 ONCE,
        Libxdp SMALL 1..=12 ONCE,
    ),
];

/// The row for a message, if it may be sent at all.
pub fn lookup(from: Role, to: Role, kind: u16) -> Option<&'static Permission> {
    rows(from, to)?.get(usize::from(kind))
}

/// All rows of one direction, ascending by kind.
pub fn rows(from: Role, to: Role) -> Option<&'static [Permission]> {
    DIRECTIONS
        .iter()
        .find(|rows| rows[0].from == from && rows[0].to == to)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::FRAME_DESCRIPTORS;
    use crate::messages::{Message, client, helper, image, loader, supervision};

    fn every_variant_has_its_row<M: Message>(from: Role, to: Role) {
        let rows = rows(from, to).unwrap_or_else(|| panic!("no rows from {from} to {to}"));
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names, M::KINDS, "{from} to {to}");
    }

    #[test]
    fn every_variant_of_every_direction_has_its_row() {
        for worker in Role::WORKERS {
            every_variant_has_its_row::<supervision::Control>(Role::Supervisor, worker);
            every_variant_has_its_row::<supervision::Status>(worker, Role::Supervisor);
        }
        every_variant_has_its_row::<client::ClientRequest>(Role::Client, Role::Api);
        every_variant_has_its_row::<client::ClientReply>(Role::Api, Role::Client);
        every_variant_has_its_row::<loader::LoaderRequest>(Role::Api, Role::Loader);
        every_variant_has_its_row::<loader::LoaderReply>(Role::Loader, Role::Api);
        every_variant_has_its_row::<image::ImageRequest>(Role::Api, Role::Image);
        every_variant_has_its_row::<image::ImageReply>(Role::Image, Role::Api);
        every_variant_has_its_row::<image::PlanDelivery>(Role::Image, Role::Loader);
        every_variant_has_its_row::<image::PlanReceipt>(Role::Loader, Role::Image);
        every_variant_has_its_row::<helper::HelperJob>(Role::Loader, Role::Helper);
        every_variant_has_its_row::<helper::HelperResult>(Role::Helper, Role::Loader);
        assert_eq!(DIRECTIONS.len(), 16, "a direction without its line above");
    }

    #[test]
    fn rows_keep_within_the_bounds_of_a_frame() {
        for row in DIRECTIONS.iter().flat_map(|rows| rows.iter()) {
            assert!(row.bytes <= FRAME_BYTES, "{row:?}");
            assert!(
                row.least_descriptors <= row.most_descriptors
                    && row.most_descriptors <= FRAME_DESCRIPTORS,
                "{row:?}"
            );
        }
    }

    #[test]
    fn nobody_but_the_api_worker_hears_clients_and_nobody_asks_the_supervisor_to_load() {
        assert!(rows(Role::Client, Role::Loader).is_none());
        assert!(rows(Role::Client, Role::Supervisor).is_none());
        assert!(rows(Role::Api, Role::Helper).is_none());
        assert!(lookup(Role::Client, Role::Api, u16::MAX).is_none());
    }
}
