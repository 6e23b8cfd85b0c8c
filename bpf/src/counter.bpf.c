// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One counter per kind of hook. The sections are spelled as libbpf users spell them. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* linux/bpf.h has these since 6.6 only. */
#define NEXT_PROGRAM (-1)

enum slot {
	SLOT_TCX_INGRESS,
	SLOT_TCX_EGRESS,
	SLOT_TC,
	SLOT_XDP,
	SLOT_TRACEPOINT,
	SLOT_UPROBE,
	SLOT_URETPROBE,
	SLOT_OPTIONAL,
	SLOTS,
};

struct traffic {
	__u64 packets;
	__u64 bytes;
};

/* Events by slot: shared by all programs of the object. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* Packets and bytes by slot and CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct traffic);
} traffic SEC(".maps");

/* What one event adds: set before loading. */
const volatile __u64 step = 1;

/* Counting goes on while this is not 0: may be changed while the programs run. */
__u32 enabled = 1;

/* Events of all programs. */
__u64 total;

static __always_inline void count(__u32 slot, __u64 bytes)
{
	struct traffic *seen;
	__u64 *events;

	if (!enabled)
		return;

	events = bpf_map_lookup_elem(&counters, &slot);
	if (events)
		__sync_fetch_and_add(events, step);

	seen = bpf_map_lookup_elem(&traffic, &slot);
	if (seen) {
		seen->packets += 1;
		seen->bytes += bytes;
	}

	__sync_fetch_and_add(&total, step);
}

SEC("tcx/ingress")
int tcx_ingress_count(struct __sk_buff *packet)
{
	count(SLOT_TCX_INGRESS, packet->len);
	return NEXT_PROGRAM;
}

SEC("tcx/egress")
int tcx_egress_count(struct __sk_buff *packet)
{
	count(SLOT_TCX_EGRESS, packet->len);
	return NEXT_PROGRAM;
}

SEC("tc")
int tc_count(struct __sk_buff *packet)
{
	count(SLOT_TC, packet->len);
	return NEXT_PROGRAM;
}

SEC("xdp")
int xdp_count(struct xdp_md *packet)
{
	count(SLOT_XDP, packet->data_end - packet->data);
	return XDP_PASS;
}

/* Reads nothing of the event, so it may be attached to any tracepoint. */
SEC("tracepoint/syscalls/sys_enter_getpid")
int tracepoint_count(void *event)
{
	count(SLOT_TRACEPOINT, 0);
	return 0;
}

SEC("uprobe")
int uprobe_count(void *registers)
{
	count(SLOT_UPROBE, 0);
	return 0;
}

SEC("uretprobe")
int uretprobe_count(void *registers)
{
	count(SLOT_URETPROBE, 0);
	return 0;
}

SEC("?xdp/optional")
int optional_count(struct xdp_md *packet)
{
	count(SLOT_OPTIONAL, packet->data_end - packet->data);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
