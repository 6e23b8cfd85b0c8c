// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs whose sections ask for more than a kind: to sleep, to see packets in fragments, not to be loaded unasked. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum slot {
	SLOT_FENTRY,
	SLOT_FEXIT,
	SLOT_LSM,
	SLOT_ITER,
	SLOT_UPROBE,
	SLOT_XDP,
	SLOTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* The process: set before loading. */
const volatile __u32 watched;

static __always_inline void count_always(__u32 slot)
{
	__u64 *events;

	events = bpf_map_lookup_elem(&counters, &slot);
	if (events)
		__sync_fetch_and_add(events, 1);
}

/* The verifier lets only programs that may sleep touch memory that may have to be fetched. Nothing is at this address. */
static __always_inline void sleep_and_count(__u32 slot)
{
	char byte;

	if (bpf_copy_from_user(&byte, sizeof(byte), (void *)0))
		count_always(slot);
}

static __always_inline int sleep_if_watched(__u32 slot)
{
	if (bpf_get_current_pid_tgid() >> 32 == watched)
		sleep_and_count(slot);
	return 0;
}

/* Of the functions at which programs may sleep this is one that every kernel has; it is called by a test run. */
SEC("fentry.s/bpf_fentry_test1")
int fentry_sleeps(void *arguments)
{
	return sleep_if_watched(SLOT_FENTRY);
}

SEC("?fentry.s/bpf_fentry_test1")
int fentry_sleeps_optional(void *arguments)
{
	return sleep_if_watched(SLOT_FENTRY);
}

SEC("fexit.s/bpf_fentry_test1")
int fexit_sleeps(void *arguments)
{
	return sleep_if_watched(SLOT_FEXIT);
}

SEC("?fexit.s/bpf_fentry_test1")
int fexit_sleeps_optional(void *arguments)
{
	return sleep_if_watched(SLOT_FEXIT);
}

/* Allows what it sees. */
SEC("lsm.s/inode_unlink")
int lsm_sleeps(void *arguments)
{
	return sleep_if_watched(SLOT_LSM);
}

SEC("?lsm.s/inode_unlink")
int lsm_sleeps_optional(void *arguments)
{
	return sleep_if_watched(SLOT_LSM);
}

SEC("iter.s/task")
int iter_sleeps(void *step)
{
	return sleep_if_watched(SLOT_ITER);
}

SEC("?iter.s/task")
int iter_sleeps_optional(void *step)
{
	return sleep_if_watched(SLOT_ITER);
}

/* In a program of the tests, which nobody else runs. */
SEC("uprobe.s")
int uprobe_sleeps(void *registers)
{
	sleep_and_count(SLOT_UPROBE);
	return 0;
}

SEC("?uprobe.s")
int uprobe_sleeps_optional(void *registers)
{
	sleep_and_count(SLOT_UPROBE);
	return 0;
}

SEC("xdp.frags")
int xdp_frags(struct xdp_md *packet)
{
	count_always(SLOT_XDP);
	return XDP_PASS;
}

SEC("?xdp.frags")
int xdp_frags_optional(struct xdp_md *packet)
{
	count_always(SLOT_XDP);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
