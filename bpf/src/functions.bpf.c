// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One counter per way to a place in the kernel. They count what one process does. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum slot {
	SLOT_KPROBE,
	SLOT_KRETPROBE,
	SLOT_FENTRY,
	SLOT_FEXIT,
	SLOT_LSM,
	SLOT_RAW_TRACEPOINT,
	SLOT_TP_BTF,
	SLOT_ITER,
	SLOT_SK_LOOKUP,
	SLOT_PERF_EVENT,
	SLOT_KPROBE_MULTI,
	SLOT_KRETPROBE_MULTI,
	SLOT_UPROBE_MULTI,
	SLOT_URETPROBE_MULTI,
	SLOT_USDT,
	SLOT_NETFILTER,
	SLOT_NETKIT_PRIMARY,
	SLOT_NETKIT_PEER,
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

static __always_inline int count(__u32 slot)
{
	if (bpf_get_current_pid_tgid() >> 32 == watched)
		count_always(slot);
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

SEC("raw_tp/sys_enter")
int raw_tracepoint_count(void *arguments)
{
	return count(SLOT_RAW_TRACEPOINT);
}

SEC("tp_btf/sys_enter")
int tp_btf_count(void *arguments)
{
	return count(SLOT_TP_BTF);
}

/* Counts the calls by a process that reads, one per task and one at the end. */
SEC("iter/task")
int iter_count(void *step)
{
	return count(SLOT_ITER);
}

/* Runs for packets, on behalf of nobody. */
SEC("sk_lookup")
int sk_lookup_count(struct bpf_sk_lookup *lookup)
{
	count_always(SLOT_SK_LOOKUP);
	return SK_PASS;
}

/* Attached to one process or one CPU, whoever runs there. */
SEC("perf_event")
int perf_event_count(void *sample)
{
	count_always(SLOT_PERF_EVENT);
	return 0;
}

SEC("kprobe.multi")
int kprobe_multi_count(void *registers)
{
	return count(SLOT_KPROBE_MULTI);
}

SEC("kretprobe.multi")
int kretprobe_multi_count(void *registers)
{
	return count(SLOT_KRETPROBE_MULTI);
}

/* User probes are in a program of the tests, which nobody else runs. */
SEC("uprobe.multi.s")
int uprobe_multi_count(void *registers)
{
	count_always(SLOT_UPROBE_MULTI);
	return 0;
}

SEC("uretprobe.multi")
int uretprobe_multi_count(void *registers)
{
	count_always(SLOT_URETPROBE_MULTI);
	return 0;
}

SEC("usdt")
int usdt_count(void *registers)
{
	count_always(SLOT_USDT);
	return 0;
}

/* Runs for packets, on behalf of nobody. Accepts what it sees: NF_ACCEPT. */
SEC("netfilter")
int netfilter_count(void *context)
{
	count_always(SLOT_NETFILTER);
	return 1;
}

/* At the ends of a pair of netkit devices. Let the hook go on: NETKIT_NEXT. */
SEC("netkit/primary")
int netkit_primary_count(struct __sk_buff *packet)
{
	count_always(SLOT_NETKIT_PRIMARY);
	return -1;
}

SEC("netkit/peer")
int netkit_peer_count(struct __sk_buff *packet)
{
	count_always(SLOT_NETKIT_PEER);
	return -1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
