//! The objects of the established command, key by key.

use super::shape::Shape::{
    self, Any, Bool, I32, Keys, List, Map, Null, OrNull, Some as Partly, Text, Time, U32, U64,
};

pub(super) const PROGRAM: Shape = Keys(&[("record", PROGRAM_RECORD), ("status", PROGRAM_STATUS)]);
pub(super) const PROGRAM_RECORD: Shape = Keys(&[
    ("program_id", U32),
    (
        "load",
        Keys(&[
            ("object_path", Text),
            ("source_path", OrNull(&Text)),
            ("program_name", Text),
            ("program_type", Text),
            ("global_data", Map(&Text)),
            (
                "image_source",
                OrNull(&Keys(&[
                    ("url", Text),
                    ("digest", Text),
                    ("pull_policy", Text),
                ])),
            ),
            ("attach_func", OrNull(&Text)),
            ("map_owner_id", Null),
        ]),
    ),
    ("license", Text),
    ("gpl_compatible", Bool),
    (
        "handles",
        Keys(&[
            ("pin_path", Text),
            ("map_pin_path", Text),
            ("map_owner_id", OrNull(&U32)),
        ]),
    ),
    (
        "meta",
        Keys(&[
            ("name", Text),
            ("owner", Text),
            ("description", Text),
            ("metadata", Map(&Text)),
        ]),
    ),
    ("created_at", Time),
    ("updated_at", Null),
]);
pub(super) const PROGRAM_STATUS: Shape = Keys(&[
    ("kernel", OrNull(&KERNEL_PROGRAM)),
    (
        "stats",
        OrNull(&Keys(&[
            ("runtime", U64),
            ("run_count", U64),
            ("recursion_misses", U64),
        ])),
    ),
    ("prog_pin", Text),
    ("map_dir", Text),
    ("bytecode", Text),
    ("links", List(&LINK)),
    (
        "maps",
        List(&Keys(&[
            ("id", U32),
            ("name", Text),
            ("map_type", Text),
            ("key_size", U32),
            ("value_size", U32),
            ("max_entries", U32),
            ("flags", U32),
            ("btf_id", U32),
            ("has_btf_id", Bool),
            ("map_extra", U64),
            ("has_map_extra", Bool),
            ("memlock", U64),
            ("has_memlock", Bool),
            ("frozen", Bool),
            ("pin_path", Text),
            ("present", Bool),
        ])),
    ),
    ("map_used_by", List(&U32)),
]);
pub(super) const KERNEL_PROGRAM: Shape = Keys(&[
    ("id", U32),
    ("name", Text),
    ("program_type", Text),
    ("tag", Text),
    ("loaded_at", Time),
    ("uid", U32),
    ("has_uid", Bool),
    ("btf_id", U32),
    ("has_btf_id", Bool),
    ("map_ids", List(&U32)),
    ("has_map_ids", Bool),
    ("jited_size", U32),
    ("xlated_size", U32),
    ("verified_insns", U32),
    ("memlock", U64),
    ("has_memlock", Bool),
    ("restricted", Bool),
]);
pub(super) const LINK: Shape = Keys(&[
    ("record", LINK_RECORD),
    (
        "status",
        Keys(&[
            ("kernel", OrNull(&KERNEL_LINK)),
            ("kernel_seen", Bool),
            ("pin_present", Bool),
        ]),
    ),
]);
pub(super) const LINK_RECORD: Shape = Keys(&[
    ("id", U64),
    ("program_id", U32),
    ("kernel_link_id", OrNull(&U32)),
    ("kind", Text),
    ("pin_path", OrNull(&Text)),
    ("details", Any),
    ("created_at", Time),
    ("metadata", OrNull(&Map(&Text))),
]);
pub(super) const KERNEL_LINK: Shape = Keys(&[
    ("id", U32),
    ("program_id", U32),
    ("link_type", Text),
    ("attach_type", Text),
    ("ifindex", U32),
    ("target_obj_id", U32),
    ("target_btf_id", U32),
    ("cgroup_id", U64),
    ("netns_ino", U32),
    ("netfilter_pf", U32),
    ("netfilter_hooknum", U32),
    ("netfilter_priority", I32),
    ("netfilter_flags", U32),
    ("kprobe_multi_count", U32),
    ("kprobe_multi_flags", U32),
    ("kprobe_multi_missed", U64),
    ("kprobe_address", U64),
    ("kprobe_missed", U64),
]);
/// By kind.
pub(super) const DETAILS: &[(&str, Shape)] = &[
    ("tracepoint", Keys(&[("group", Text), ("name", Text)])),
    ("kprobe", KPROBE),
    ("kretprobe", KPROBE),
    ("uprobe", UPROBE),
    ("uretprobe", UPROBE),
    ("fentry", Keys(&[("fn_name", Text)])),
    ("fexit", Keys(&[("fn_name", Text)])),
    ("lsm", Keys(&[("hook_name", Text)])),
    (
        "xdp",
        Partly(
            &[
                ("interface", Text),
                ("ifindex", U32),
                ("priority", I32),
                ("position", I32),
                ("proceed_on", List(&I32)),
                ("netns", Text),
                ("nsid", U64),
                ("dispatcher_id", U32),
                ("revision", U32),
            ],
            &[],
            &["mode", "strategy", "cooperate"],
        ),
    ),
    (
        "tc",
        Partly(
            &[
                ("interface", Text),
                ("ifindex", U32),
                ("direction", Text),
                ("priority", I32),
                ("position", I32),
                ("proceed_on", List(&I32)),
                ("netns", Text),
                ("nsid", U64),
                ("dispatcher_id", U32),
                ("revision", U32),
            ],
            &[],
            &["strategy"],
        ),
    ),
    (
        "tcx",
        Keys(&[
            ("interface", Text),
            ("ifindex", U32),
            ("direction", Text),
            ("priority", I32),
            ("position", I32),
            ("netns", Text),
            ("nsid", U64),
        ]),
    ),
];
pub(super) const KPROBE: Shape = Keys(&[("fn_name", Text), ("offset", U64), ("retprobe", Bool)]);
pub(super) const UPROBE: Shape = Keys(&[
    ("target", Text),
    ("fn_name", Text),
    ("offset", U64),
    ("pid", I32),
    ("retprobe", Bool),
    ("container_pid", I32),
]);
pub(super) const KEY: Shape = Keys(&[("type", Text), ("nsid", U64), ("ifindex", U32)]);
pub(super) const RUNTIME: Shape = Partly(
    &[("program_id", U32), ("netns_path", Text)],
    &[
        ("kernel_link_id", U32),
        ("filter_priority", U32),
        ("filter_handle", U32),
    ],
    &[],
);
pub(super) const DISPATCHER_LIST: Shape = Keys(&[(
    "dispatchers",
    List(&Partly(
        &[
            ("key", KEY),
            ("revision", U32),
            ("runtime", RUNTIME),
            ("member_count", U32),
        ],
        &[],
        &["strategy", "strategy_reason", "mode", "interface"],
    )),
)]);
pub(super) const DISPATCHER: Shape = Partly(
    &[
        ("key", KEY),
        ("revision", U32),
        ("runtime", RUNTIME),
        (
            "members",
            List(&Partly(
                &[
                    ("program_id", U32),
                    ("program_name", Text),
                    ("prog_pin_path", Text),
                    ("link_id", U64),
                    ("kernel_link_id", OrNull(&U32)),
                    ("link_pin_path", Text),
                    ("position", I32),
                    ("priority", I32),
                    ("proceed_on", U32),
                    ("ifname", Text),
                    ("metadata", OrNull(&Map(&Text))),
                ],
                &[],
                &["counters"],
            )),
        ),
    ],
    &[],
    &["strategy", "strategy_reason", "mode"],
);
pub(super) const LIST_ENTRY: Shape = Keys(&[
    ("program_id", U32),
    ("managed", Bool),
    ("application", Text),
    ("type", Text),
    ("function_name", Text),
    ("links", List(&U64)),
    ("record", OrNull(&PROGRAM_RECORD)),
    ("kernel", OrNull(&KERNEL_PROGRAM)),
]);
