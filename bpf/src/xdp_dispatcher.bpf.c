// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The dispatcher of the libxdp protocol, version 2: calls up to ten programs one after the other, each of which replaces
 * one of the functions below (freplace). What libxdp reads is kept as it is: names of functions, layout of the
 * configuration, the section that tells the version.
 */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define SLOTS 10
#define MAGIC 236
#define VERSION 2
/* What a function returns that nothing replaces. */
#define RETURN_OF_EMPTY_SLOT 31

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

/* A function of its own, which the compiler may neither inline nor think it knows. */
#define FUNCTION(name)                                        \
	__attribute__((noinline)) int name(struct xdp_md *ctx) \
	{                                                     \
		volatile int ret = RETURN_OF_EMPTY_SLOT;      \
                                                              \
		if (!ctx)                                     \
			return XDP_ABORTED;                   \
		return ret;                                   \
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
/* libxdp tries here whether the kernel can do all this. */
FUNCTION(compat_test)

#define CALL(slot)                                                   \
	do {                                                         \
		if (conf.num_progs_enabled < slot + 1)               \
			return XDP_PASS;                             \
		ret = prog##slot(ctx);                               \
		if (!((1U << ret) & conf.chain_call_actions[slot])) \
			return ret;                                  \
	} while (0)

SEC("xdp")
int xdp_dispatcher(struct xdp_md *ctx)
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
	if (conf.num_progs_enabled < SLOTS + 1)
		return XDP_PASS;
	ret = compat_test(ctx);
	return XDP_PASS;
}

/* The length of the array is the version. */
int (*dispatcher_version)[VERSION] SEC("xdp_metadata");

char _license[] SEC("license") = "Dual BSD/GPL";
