// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Global variables of many types, to be set by type. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum verdict {
	DROP,
	PASS,
};

struct pair {
	__u32 first, second;
};

typedef __u16 port;

const volatile __u8 small = 1;
const volatile port https = 1;
const volatile __u32 plain = 1;
const volatile __u64 large = 1;
const volatile signed char signed_small = 1;
const volatile __s16 signed_short = 1;
const volatile __s32 signed_plain = 1;
const volatile __s64 signed_large = 1;
const volatile _Bool flag = 1;
const volatile char letter = 'a';
const volatile char text[8] = "before";
const volatile enum verdict verdict = PASS;
const volatile struct pair pair = {1, 1};

SEC("xdp")
int reads_globals(struct xdp_md *packet)
{
	__u64 sum = small + https + plain + large + signed_small + signed_short + signed_plain + signed_large;

	sum += flag + letter + text[packet->rx_queue_index & 7] + pair.first;
	return sum == 0 ? XDP_ABORTED : verdict == DROP ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
