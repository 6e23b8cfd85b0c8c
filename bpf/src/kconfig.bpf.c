// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Variables whose values are the kernel's, and a probe that is looked at with libbpf's header, which needs one. */

#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;
/* No kernel has such. */
extern unsigned long CONFIG_BPFMAN_MISSING __kconfig __weak;
extern unsigned int CONFIG_BPFMAN_NUMBER __kconfig;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 5);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

static __always_inline void put(__u32 slot, __u64 value)
{
	bpf_map_update_elem(&seen, &slot, &value, BPF_ANY);
}

SEC("tracepoint/syscalls/sys_enter_getpid")
int kconfig_known(void *event)
{
	put(0, LINUX_KERNEL_VERSION);
	put(1, LINUX_HAS_BPF_COOKIE);
	put(2, LINUX_HAS_SYSCALL_WRAPPER);
	put(3, CONFIG_BPFMAN_MISSING + 1);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpid")
int kconfig_number(void *event)
{
	put(4, CONFIG_BPFMAN_NUMBER);
	return 0;
}

/* Counts hits, and those that came with arguments. */
SEC("usdt")
int usdt_arguments(struct pt_regs *registers)
{
	long value;
	__u32 slot;
	__u64 *events;

	slot = bpf_usdt_arg(registers, 0, &value) ? 0 : 1;
	events = bpf_map_lookup_elem(&seen, &slot);
	if (events)
		__sync_fetch_and_add(events, 1);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
