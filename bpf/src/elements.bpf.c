// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Maps whose elements the source sets: inner maps, and programs to jump to. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} low SEC(".maps"), high SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct table);
} tables SEC(".maps") = {
	.values = { [1] = &low, [3] = &high },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct table);
} hashed SEC(".maps") = {
	.values = { [2] = &high },
};

/* Shared by name: it is made, and filled, once. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__array(values, struct table);
} shared_tables SEC(".maps") = {
	.values = { [0] = &low },
};

int trace_callee(void *event);
int xdp_callee(struct xdp_md *packet);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 3);
	__uint(key_size, sizeof(__u32));
	__array(values, int (void *));
} trace_calls SEC(".maps") = {
	.values = { [2] = (void *)&trace_callee },
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int (void *));
} xdp_calls SEC(".maps") = {
	.values = { [0] = (void *)&xdp_callee },
};

/* Three hash functions. */
struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 64);
	__uint(map_extra, 3);
	__type(value, __u32);
} seen SEC(".maps");

/* Of each program; slots: events, of them in the array, in the hash, in the shared one, jumps that failed, filter hits. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 6);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(__u32 slot)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &slot);

	if (value)
		__sync_fetch_and_add(value, 1);
}

static __always_inline void count_in(void *outer, __u32 key, __u32 slot)
{
	void *table = bpf_map_lookup_elem(outer, &key);
	__u32 zero = 0;
	__u64 *value;

	if (!table)
		return;
	value = bpf_map_lookup_elem(table, &zero);
	if (!value)
		return;
	__sync_fetch_and_add(value, 1);
	count(slot);
}

SEC("tracepoint/syscalls/sys_enter_getpid")
int trace_tables(void *event)
{
	__u32 number = 7;

	count(0);
	count_in(&tables, 1, 1);
	count_in(&tables, 3, 1);
	/* Nothing is there. */
	count_in(&tables, 0, 4);
	count_in(&hashed, 2, 2);
	count_in(&hashed, 0, 4);
	count_in(&shared_tables, 0, 3);
	bpf_map_push_elem(&seen, &number, 0);
	if (!bpf_map_peek_elem(&seen, &number))
		count(5);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpid")
int trace_caller(void *event)
{
	count(0);
	bpf_tail_call(event, &trace_calls, 2);
	count(4);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpid")
int trace_callee(void *event)
{
	count(1);
	return 0;
}

SEC("xdp")
int xdp_caller(struct xdp_md *packet)
{
	count(0);
	bpf_tail_call(packet, &xdp_calls, 0);
	count(4);
	return XDP_PASS;
}

SEC("xdp")
int xdp_callee(struct xdp_md *packet)
{
	count(1);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
