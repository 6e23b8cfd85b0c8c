// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The dispatcher of a clsact hook: what xdp_dispatcher.bpf.c is to XDP. A verdict may be -1 (unspec), so the bit of a
 * verdict in the mask of a slot is one above it.
 */

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "dispatcher.h"

#define VERSION 1

struct tc_dispatcher_config {
	__u8 num_progs_enabled;
	__u32 chain_call_actions[SLOTS];
	__u32 run_prios[SLOTS];
};

/* Written and frozen before this program is loaded: the verifier drops the slots that are not used. */
const volatile struct tc_dispatcher_config CONFIG = {};

#define CONTEXT struct __sk_buff
#define NO_CONTEXT TC_ACT_UNSPEC
#define RETURN_OF_EMPTY_SLOT 30
#define PASSED TC_ACT_OK
#define MASK_OF(verdict) (1U << ((verdict) + 1))

FUNCTIONS

SEC("classifier/dispatcher")
int tc_dispatcher(struct __sk_buff *ctx)
{
	CALL_ALL;
}

/* The length of the array is the version. */
int (*dispatcher_version)[VERSION] SEC("tc_metadata");

char _license[] SEC("license") = "Dual BSD/GPL";
