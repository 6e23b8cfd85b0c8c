//! The system tests: one binary, one module per area of behaviour. Run as root; `cargo xtask test` runs them on this
//! machine's kernel and in virtual machines.
//!
//! They run one after the other (`--test-threads=1`): several compare everything that is in the kernel before and after.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start processes and read the environment"
)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail their test"
)]

mod activation;
mod bad_input;
mod chain_views;
mod chains;
mod configuration;
mod crash;
mod descriptors;
mod examples;
mod floods;
mod forbidden;
mod frames;
mod global_data;
mod grpc;
mod image_policies;
mod images;
mod inventory;
mod kernel_cgroups;
mod kernel_functions;
mod kernel_multi;
mod kernel_netfilter;
mod kernel_netkit;
mod kernel_perf_events;
mod kernel_sections;
mod kernel_tracepoints;
mod kernel_variables;
mod loading_rules;
mod main_job;
mod maintainer_scripts;
mod map_elements;
mod maps_access;
mod maps_by_name;
mod moved_interfaces;
mod netns_filters;
mod network_namespaces;
mod order;
mod packaging;
mod per_packet;
mod privileges;
mod service;
mod shells;
mod sidecar;
mod status;
mod uprobe_containers;
mod uprobe_go;
mod uprobe_places;
mod volumes;
mod xdp_loader;
