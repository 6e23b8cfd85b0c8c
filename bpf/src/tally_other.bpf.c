// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A map of the name and the sizes of that of tally.bpf.c, with something else in it: only BTF tells them apart. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct tally {
	__u64 bytes;
	__u64 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tally);
} tally SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpid")
int tally_other(void *event)
{
	__u32 slot = 0;
	struct tally *found = bpf_map_lookup_elem(&tally, &slot);

	if (found)
		__sync_fetch_and_add(&found->packets, 1);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
