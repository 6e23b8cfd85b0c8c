// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts in a map that is shared by name with every object which declares it the same. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct tally {
	__u64 events;
	__u64 last;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tally);
} tally SEC(".maps");

/* Not shared. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} own SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpid")
int tally_first(void *event)
{
	__u32 slot = 0;
	struct tally *found = bpf_map_lookup_elem(&tally, &slot);
	__u64 *count = bpf_map_lookup_elem(&own, &slot);

	if (found) {
		__sync_fetch_and_add(&found->events, 1);
		found->last = bpf_ktime_get_ns();
	}
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
