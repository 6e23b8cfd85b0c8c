// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The dispatcher of a clsact hook: what xdp_dispatcher.bpf.c is to XDP. A verdict may be -1 (unspec), so the bit of a
 * verdict in the mask of a slot is one above it.
 */

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#define SLOTS 10
#define VERSION 1
/* What a function returns that nothing replaces. */
#define RETURN_OF_EMPTY_SLOT 30

struct tc_dispatcher_config {
	__u8 num_progs_enabled;
	__u32 chain_call_actions[SLOTS];
	__u32 run_prios[SLOTS];
};

/* Written and frozen before this program is loaded: the verifier drops the slots that are not used. */
const volatile struct tc_dispatcher_config CONFIG = {};

/* A function of its own, which the compiler may neither inline nor think it knows. */
#define FUNCTION(name)                                           \
	__attribute__((noinline)) int name(struct __sk_buff *ctx) \
	{                                                        \
		volatile int ret = RETURN_OF_EMPTY_SLOT;         \
                                                                 \
		if (!ctx)                                        \
			return TC_ACT_UNSPEC;                    \
		return ret;                                      \
	}

FUNCTION(prog0)
FUNCTION(prog1)
FUNCTION(prog2)
FUNCTION(prog3)
FUNCTION(prog4)
FUNCTION(prog5)
FUNCTION(prog6)
FUNCTION(prog7)
FUNCTION(prog8)
FUNCTION(prog9)
FUNCTION(compat_test)

#define CALL(slot)                                                         \
	do {                                                               \
		if (CONFIG.num_progs_enabled < slot + 1)                   \
			return TC_ACT_OK;                                  \
		ret = prog##slot(ctx);                                     \
		if (!((1U << (ret + 1)) & CONFIG.chain_call_actions[slot])) \
			return ret;                                        \
	} while (0)

SEC("classifier/dispatcher")
int tc_dispatcher(struct __sk_buff *ctx)
{
	int ret;

	CALL(0);
	CALL(1);
	CALL(2);
	CALL(3);
	CALL(4);
	CALL(5);
	CALL(6);
	CALL(7);
	CALL(8);
	CALL(9);
	if (CONFIG.num_progs_enabled < SLOTS + 1)
		return TC_ACT_OK;
	ret = compat_test(ctx);
	return TC_ACT_OK;
}

/* The length of the array is the version. */
int (*dispatcher_version)[VERSION] SEC("tc_metadata");

char _license[] SEC("license") = "Dual BSD/GPL";
