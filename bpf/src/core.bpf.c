// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* CO-RE relocations, a static and a global subprogram, a callback. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* As much of the kernel's structure as is read; the order is deliberately not the kernel's. */
struct task_struct {
	int tgid;
	int pid;
	char comm[16];
	/* One bit in the kernel. */
	unsigned int in_execve;
} __attribute__((preserve_access_index));

struct seen {
	__u64 events;
	__u32 pid;
	__u32 tgid;
	__u64 helper_pid_tgid;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen);
} seen SEC(".maps");

/* 0 watches every process. */
const volatile __u32 watched_tgid = 0;

static __noinline int read_pid(struct task_struct *task)
{
	return BPF_CORE_READ(task, pid);
}

__noinline int is_watched(__u32 tgid)
{
	return watched_tgid == 0 || watched_tgid == tgid;
}

static long add_event(__u32 index, void *context)
{
	struct seen *entry = *(struct seen **)context;

	__sync_fetch_and_add(&entry->events, 1);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpid")
int core_task(void *event)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u32 key = 0, tgid = BPF_CORE_READ(task, tgid);
	struct seen *entry = bpf_map_lookup_elem(&seen, &key);

	if (!entry || !is_watched(tgid))
		return 0;
	entry->pid = read_pid(task);
	entry->tgid = tgid;
	entry->helper_pid_tgid = bpf_get_current_pid_tgid();
	__sync_fetch_and_add(&entry->events, 1);
	return 0;
}

/* bpf_loop with a callback: a function pointer in the instructions (kernel 5.17). */
SEC("tracepoint/syscalls/sys_enter_getppid")
int core_callback(void *event)
{
	__u32 key = 0;
	struct seen *entry = bpf_map_lookup_elem(&seen, &key);

	if (!entry)
		return 0;
	bpf_loop(3, add_event, &entry, 0);
	return 0;
}

/* Loads as a whole what is a bit field in the kernel: no relocation can make that right. */
SEC("tracepoint/syscalls/sys_enter_getuid")
int core_bit_field(void *event)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return task->in_execve;
}

char _license[] SEC("license") = "Dual BSD/GPL";
