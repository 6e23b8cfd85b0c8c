// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Compiled without debug information: no BTF, maps as they were declared before BTF, no license section. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct map_definition {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
};

struct map_definition legacy SEC("maps") = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(__u32),
	.value_size = sizeof(__u64),
	.max_entries = 1,
};

__u64 total;

SEC("classifier")
int bare_count(struct __sk_buff *packet)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&legacy, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	__sync_fetch_and_add(&total, 1);
	return -1;
}
