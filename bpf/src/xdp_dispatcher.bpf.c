// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The dispatcher of the libxdp protocol, version 2: calls up to ten programs one after the other, each of which replaces
 * one of the functions below (freplace). What libxdp reads is kept as it is: names of functions, layout of the
 * configuration, the section that tells the version.
 */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "dispatcher.h"

#define MAGIC 236
#define VERSION 2

struct xdp_dispatcher_config {
	__u8 magic;
	__u8 dispatcher_version;
	__u8 num_progs_enabled;
	__u8 is_xdp_frags;
	__u32 chain_call_actions[SLOTS];
	__u32 run_prios[SLOTS];
	__u32 program_flags[SLOTS];
};

/* Written and frozen before this program is loaded: the verifier drops the slots that are not used. */
const volatile struct xdp_dispatcher_config conf = {
	.magic = MAGIC,
	.dispatcher_version = VERSION,
};

#define CONTEXT struct xdp_md
#define NO_CONTEXT XDP_ABORTED
#define RETURN_OF_EMPTY_SLOT 31
#define PASSED XDP_PASS
#define MASK_OF(verdict) (1U << (verdict))
#define CONFIG conf

FUNCTIONS

SEC("xdp")
int xdp_dispatcher(struct xdp_md *ctx)
{
	CALL_ALL;
}

/* The length of the array is the version. */
int (*dispatcher_version)[VERSION] SEC("xdp_metadata");

char _license[] SEC("license") = "Dual BSD/GPL";
