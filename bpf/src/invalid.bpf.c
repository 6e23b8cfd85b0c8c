// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A program that the verifier must reject beside one that it must accept. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} values SEC(".maps");

/* Uses the result of a lookup without a look at it. */
SEC("tcx/ingress")
int rejected(struct __sk_buff *packet)
{
	__u32 key = packet->ifindex;
	__u64 *value = bpf_map_lookup_elem(&values, &key);

	return *value > 10 ? 0 : -1;
}

SEC("tcx/ingress")
int accepted(struct __sk_buff *packet)
{
	__u32 key = packet->ifindex;
	__u64 *value = bpf_map_lookup_elem(&values, &key);

	return value && *value > 10 ? 0 : -1;
}

/* No kernel function has this name: the object is still good for its other programs. */
extern int bpfman_no_such_kernel_function(void) __ksym;

SEC("xdp/unresolved")
int unresolved(struct xdp_md *packet)
{
	return bpfman_no_such_kernel_function();
}

char _license[] SEC("license") = "Dual BSD/GPL";
