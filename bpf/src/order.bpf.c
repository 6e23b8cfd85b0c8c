// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Each program writes its tag behind the tags that are there: the trail shows in which order a chain ran. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define NEXT_PROGRAM (-1)
#define TRAIL_LENGTH 64

struct trail {
	__u32 length;
	__u32 tags[TRAIL_LENGTH];
};

/* Shared by name, so that separately loaded objects write one trail. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct trail);
} trail SEC(".maps");

/* Added to the program's own number: tells loads of the same program apart. */
const volatile __u32 tag = 0;

static __always_inline int append(__u32 own)
{
	__u32 key = 0, at;
	struct trail *run = bpf_map_lookup_elem(&trail, &key);

	if (!run)
		return NEXT_PROGRAM;
	at = run->length;
	if (at < TRAIL_LENGTH) {
		run->tags[at] = tag + own;
		run->length = at + 1;
	}
	return NEXT_PROGRAM;
}

SEC("tcx/ingress")
int order_first(struct __sk_buff *packet)
{
	return append(1);
}

SEC("tcx/ingress")
int order_second(struct __sk_buff *packet)
{
	return append(2);
}

SEC("tcx/ingress")
int order_third(struct __sk_buff *packet)
{
	return append(3);
}

char _license[] SEC("license") = "Dual BSD/GPL";
