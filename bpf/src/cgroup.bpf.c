// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One counter per hook of control groups, in the order of `CGROUP_HOOKS` (ipc/src/cgroup_hooks.rs). They allow what they
 * see. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define HOOKS 27

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HOOKS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

#define COUNT(section, hook, slot)                                      \
	SEC(section)                                                    \
	int hook##_count(void *context)                                 \
	{                                                               \
		__u32 key = slot;                                       \
		__u64 *events = bpf_map_lookup_elem(&counters, &key);   \
                                                                        \
		if (events)                                             \
			__sync_fetch_and_add(events, 1);                \
		return 1;                                               \
	}

COUNT("cgroup_skb/ingress", ingress, 0)
COUNT("cgroup_skb/egress", egress, 1)
COUNT("cgroup/sock_create", sock_create, 2)
COUNT("cgroup/sock_release", sock_release, 3)
COUNT("cgroup/post_bind4", post_bind4, 4)
COUNT("cgroup/post_bind6", post_bind6, 5)
COUNT("cgroup/bind4", bind4, 6)
COUNT("cgroup/bind6", bind6, 7)
COUNT("cgroup/connect4", connect4, 8)
COUNT("cgroup/connect6", connect6, 9)
COUNT("cgroup/connect_unix", connect_unix, 10)
COUNT("cgroup/sendmsg4", sendmsg4, 11)
COUNT("cgroup/sendmsg6", sendmsg6, 12)
COUNT("cgroup/sendmsg_unix", sendmsg_unix, 13)
COUNT("cgroup/recvmsg4", recvmsg4, 14)
COUNT("cgroup/recvmsg6", recvmsg6, 15)
COUNT("cgroup/recvmsg_unix", recvmsg_unix, 16)
COUNT("cgroup/getpeername4", getpeername4, 17)
COUNT("cgroup/getpeername6", getpeername6, 18)
COUNT("cgroup/getpeername_unix", getpeername_unix, 19)
COUNT("cgroup/getsockname4", getsockname4, 20)
COUNT("cgroup/getsockname6", getsockname6, 21)
COUNT("cgroup/getsockname_unix", getsockname_unix, 22)
COUNT("cgroup/getsockopt", getsockopt, 23)
COUNT("cgroup/setsockopt", setsockopt, 24)
COUNT("cgroup/sysctl", sysctl, 25)
COUNT("cgroup/dev", dev, 26)

char _license[] SEC("license") = "Dual BSD/GPL";
