// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The map of tally.bpf.c as another author declares it: other names of the same types, in an object of another BTF. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

typedef const __u64 count_t;
typedef __u32 slot_t;

struct tally {
	count_t events;
	__u64 last;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, slot_t);
	__type(value, struct tally);
} tally SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpid")
int tally_second(void *event)
{
	slot_t slot = 1;
	struct tally *found = bpf_map_lookup_elem(&tally, &slot);

	if (found)
		__sync_fetch_and_add((__u64 *)&found->events, 1);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
