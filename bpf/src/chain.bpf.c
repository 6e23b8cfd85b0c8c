// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Members of chains: each counts its packets, leaves its tag in the trail, and says what it was told to say. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define TRAIL_LENGTH 128

struct trail {
	__u32 length;
	__u32 tags[TRAIL_LENGTH];
};

/* Shared by programs that name an owner. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct trail);
} trail SEC(".maps");

/* Tells loads of the same program apart. */
const volatile __u32 tag = 0;
/* What the program says. */
const volatile int verdict = 2;

/* Packets of this load: not in a map that anybody shares. */
__u64 packets;

/* Not inlined, so that the program has a function of its own beside it. */
static __attribute__((noinline)) void leave(__u32 what)
{
	__u32 key = 0, at;
	struct trail *run = bpf_map_lookup_elem(&trail, &key);

	if (!run)
		return;
	at = run->length;
	if (at < TRAIL_LENGTH) {
		run->tags[at] = what;
		run->length = at + 1;
	}
}

static __always_inline int member(void)
{
	__sync_fetch_and_add(&packets, 1);
	leave(tag);
	return verdict;
}

SEC("xdp")
int xdp_member(struct xdp_md *packet)
{
	return member();
}

SEC("tc")
int tc_member(struct __sk_buff *packet)
{
	return member();
}

/* More stack than is left beside the function that calls the members. */
SEC("xdp")
int xdp_deep(struct xdp_md *packet)
{
	volatile char room[504];

	for (int at = 0; at < (int)sizeof(room); at += 8)
		room[at] = at;
	return room[packet->ingress_ifindex & 255];
}

char _license[] SEC("license") = "Dual BSD/GPL";
