// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One counter per way to a function of the kernel. They count what one process does. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum slot {
	SLOT_KPROBE,
	SLOT_KRETPROBE,
	SLOT_FENTRY,
	SLOT_FEXIT,
	SLOT_LSM,
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

static __always_inline int count(__u32 slot)
{
	__u64 *events;

	if (bpf_get_current_pid_tgid() >> 32 != watched)
		return 0;
	events = bpf_map_lookup_elem(&counters, &slot);
	if (events)
		__sync_fetch_and_add(events, 1);
	return 0;
}

SEC("kprobe/do_unlinkat")
int kprobe_count(void *registers)
{
	return count(SLOT_KPROBE);
}

SEC("kretprobe/do_unlinkat")
int kretprobe_count(void *registers)
{
	return count(SLOT_KRETPROBE);
}

SEC("fentry/do_unlinkat")
int fentry_count(void *arguments)
{
	return count(SLOT_FENTRY);
}

SEC("fexit/do_unlinkat")
int fexit_count(void *arguments)
{
	return count(SLOT_FEXIT);
}

/* Allows what it sees. */
SEC("lsm/inode_unlink")
int lsm_count(void *arguments)
{
	return count(SLOT_LSM);
}

char _license[] SEC("license") = "Dual BSD/GPL";
