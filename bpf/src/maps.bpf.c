// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Maps of many types; one program that uses them all, one that uses none. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct key {
	__u32 address;
	__u16 port;
	__u16 protocol;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key);
	__type(value, __u64);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

/* No max_entries: one per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_ARRAY);
		__uint(max_entries, 2);
		__type(key, __u32);
		__type(value, __u64);
	});
} tables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} shared SEC(".maps");

SEC("tc")
int uses_all(struct __sk_buff *packet)
{
	struct key key = { .address = packet->ifindex, .port = 1, .protocol = 2 };
	__u32 zero = 0;
	__u64 one = 1, *value;
	void *table;

	bpf_map_update_elem(&hash, &key, &one, BPF_ANY);
	bpf_map_update_elem(&recent, &zero, &one, BPF_ANY);
	bpf_map_update_elem(&shared, &zero, &one, BPF_ANY);
	bpf_ringbuf_output(&events, &key, sizeof(key), 0);
	bpf_perf_event_output(packet, &samples, BPF_F_CURRENT_CPU, &key, sizeof(key));

	table = bpf_map_lookup_elem(&tables, &zero);
	if (table) {
		value = bpf_map_lookup_elem(table, &zero);
		if (value)
			__sync_fetch_and_add(value, 1);
	}
	return -1;
}

SEC("tc")
int uses_none(struct __sk_buff *packet)
{
	return -1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
