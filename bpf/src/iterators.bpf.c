// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What is in the kernel, whoever put it there: one record for each program, map or link, to whoever reads the iterator.
 *
 * Records have a fixed size and no pointers; api-worker/src/inventory/records.rs reads them. The loader takes these
 * programs only as they are compiled here, but for the offsets of fields (loader-worker/src/iterators/template.rs): no maps,
 * no global data, no subprograms.
 */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "kernel.h"

/* What the kernel calls the program with. */

struct bpf_iter__bpf_prog {
	struct bpf_iter_meta *meta;
	struct bpf_prog *prog;
};

struct bpf_iter__bpf_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
};

struct bpf_iter__bpf_link {
	struct bpf_iter_meta *meta;
	struct bpf_link *link;
};

/* The records. */

/* Most maps that the kernel lets a program use (MAX_USED_MAPS). */
#define MAPS 64

struct program_record {
	__u64 load_time;
	__u32 id;
	__u32 type;
	char name[16];
	__u8 tag[8];
	__u32 uid;
	__u32 btf_id;
	__u32 jited_bytes;
	__u32 instructions;
	__u32 verified_instructions;
	__u32 pages;
	__u32 gpl_compatible;
	__u32 map_count;
	__u32 maps[MAPS];
};

struct map_record {
	__u64 extra;
	__u32 id;
	__u32 type;
	char name[16];
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 flags;
	__u32 btf_id;
	__u32 frozen;
};

/* Attach type of a link of which the kernel tells none. */
#define NO_ATTACH_TYPE 0xffffffff

struct link_record {
	__u64 cgroup_id;
	__u32 id;
	__u32 type;
	__u32 program_id;
	__u32 attach_type;
	__u32 ifindex;
	__u32 netns;
	__u32 target_object;
	__u32 target_type;
	/* Functions, places in a file; of a tracepoint its number. */
	__u32 count;
	__u32 family;
	__u32 hook;
	__s32 priority;
	/* Group of a tracepoint. */
	char group[32];
	/* Interface, tracepoint, kernel function, what is iterated over. */
	char name[64];
};

/* enum bpf_link_type, which older headers do not have whole. */
enum link_type {
	RAW_TRACEPOINT = 1,
	TRACING = 2,
	CGROUP = 3,
	ITER = 4,
	NETNS = 5,
	XDP = 6,
	PERF_EVENT = 7,
	KPROBE_MULTI = 8,
	NETFILTER = 10,
	TCX = 11,
	UPROBE_MULTI = 12,
	NETKIT = 13,
};

#define READ(destination, address) bpf_probe_read_kernel(&(destination), sizeof(destination), address)

SEC("iter/bpf_prog")
int list_programs(struct bpf_iter__bpf_prog *step)
{
	struct program_record record = {};
	struct bpf_prog *prog = step->prog;
	struct bpf_prog_aux *aux;
	struct user_struct *user;
	struct btf *btf;
	__u32 count;

	if (!prog)
		return 0;
	aux = prog->aux;
	record.id = aux->id;
	record.type = prog->type;
	READ(record.name, &aux->name);
	READ(record.tag, &prog->tag);
	record.load_time = aux->load_time;
	user = aux->user;
	if (user)
		record.uid = user->uid.val;
	btf = aux->btf;
	if (btf)
		record.btf_id = btf->id;
	record.jited_bytes = prog->jited_len;
	record.instructions = prog->len;
	record.verified_instructions = aux->verified_insns;
	record.pages = prog->pages;
	record.gpl_compatible = BPF_CORE_READ_BITFIELD(prog, gpl_compatible);
	count = aux->used_map_cnt;
	for (__u32 index = 0; index < MAPS && index < count; index++) {
		struct bpf_map *map = NULL;

		READ(map, aux->used_maps + index);
		READ(record.maps[index], &map->id);
		record.map_count = index + 1;
	}
	bpf_seq_write(step->meta->seq, &record, sizeof(record));
	return 0;
}

SEC("iter/bpf_map")
int list_maps(struct bpf_iter__bpf_map *step)
{
	struct map_record record = {};
	struct bpf_map *map = step->map;
	struct btf *btf;

	if (!map)
		return 0;
	record.id = map->id;
	record.type = map->map_type;
	READ(record.name, &map->name);
	record.key_size = map->key_size;
	record.value_size = map->value_size;
	record.max_entries = map->max_entries;
	record.flags = map->map_flags;
	record.extra = map->map_extra;
	btf = map->btf;
	if (btf)
		record.btf_id = btf->id;
	record.frozen = map->frozen;
	bpf_seq_write(step->meta->seq, &record, sizeof(record));
	return 0;
}

/* Where a kind of link has an attach type of its own, in the kernels in which it does. */
#define OWN_ATTACH_TYPE(record, own, field)                          \
	do {                                                         \
		if (bpf_core_field_exists((own)->field))             \
			(record)->attach_type = BPF_CORE_READ(own, field); \
	} while (0)

/* enum perf_type_id; its header would define struct perf_event_attr, which is relocated here. */
#define PERF_TYPE_TRACEPOINT 2

#define READ_NAME(destination, address) bpf_probe_read_kernel_str(&(destination), sizeof(destination), address)

static __always_inline void at_interface(struct link_record *record, struct net_device *dev)
{
	struct net *net;

	/* Gone with its interface. */
	if (!dev)
		return;
	record->ifindex = BPF_CORE_READ(dev, ifindex);
	net = BPF_CORE_READ(dev, nd_net.net);
	record->netns = BPF_CORE_READ(net, ns.inum);
	READ_NAME(record->name, &dev->name);
}

/* The name behind a tracepoint's event lies where only version-dependent flags say: its number is told instead. */
static __always_inline void at_event(struct link_record *record, struct bpf_perf_link *link)
{
	struct file *file = BPF_CORE_READ(link, perf_file);
	struct perf_event *event = BPF_CORE_READ(file, private_data);
	struct trace_event_call *call = BPF_CORE_READ(event, tp_event);

	if (!call)
		return;
	READ_NAME(record->group, BPF_CORE_READ(call, class, system));
	if (BPF_CORE_READ(event, attr.type) == PERF_TYPE_TRACEPOINT)
		record->count = BPF_CORE_READ(event, attr.config);
	else
		READ_NAME(record->name, BPF_CORE_READ(call, name));
}

static __always_inline void at_function(struct link_record *record, struct bpf_tracing_link *link)
{
	struct bpf_trampoline *trampoline = BPF_CORE_READ(link, trampoline);
	__u64 key;

	OWN_ATTACH_TYPE(record, link, attach_type);
	if (!trampoline)
		return;
	/* bpf_trampoline_compute_key(): program or BTF object, a bit that says which, type id. */
	key = BPF_CORE_READ(trampoline, key);
	record->target_object = key >> 32;
	record->target_type = key & 0x7fffffff;
}

static __always_inline void at_netfilter(struct link_record *record, struct bpf_nf_link *link)
{
	if (!bpf_core_field_exists(link->hook_ops))
		return;
	record->family = BPF_CORE_READ(link, hook_ops.pf);
	record->hook = BPF_CORE_READ(link, hook_ops.hooknum);
	record->priority = BPF_CORE_READ(link, hook_ops.priority);
}

static __always_inline void at_file(struct link_record *record, struct bpf_link *link)
{
	struct bpf_uprobe_multi_link *multi;

	if (!bpf_core_field_exists(struct bpf_uprobe_multi_link, cnt))
		return;
	multi = (void *)link - bpf_core_field_offset(struct bpf_uprobe_multi_link, link);
	record->count = BPF_CORE_READ(multi, cnt);
	READ_NAME(record->name, BPF_CORE_READ(multi, path.dentry, d_name.name));
}

SEC("iter/bpf_link")
int list_links(struct bpf_iter__bpf_link *step)
{
	struct link_record record = {};
	struct bpf_link *link = step->link;
	struct bpf_prog *prog;

	if (!link)
		return 0;
	record.id = link->id;
	record.type = link->type;
	record.attach_type = NO_ATTACH_TYPE;
	if (bpf_core_field_exists(link->attach_type))
		record.attach_type = link->attach_type;
	prog = link->prog;
	if (prog)
		record.program_id = prog->aux->id;

	switch (record.type) {
	case RAW_TRACEPOINT: {
		struct bpf_raw_tp_link *raw = (void *)link;

		READ_NAME(record.name, BPF_CORE_READ(raw, btp, tp, name));
		break;
	}
	case TRACING:
		at_function(&record, (void *)link);
		break;
	case CGROUP: {
		struct bpf_cgroup_link *cgroup = (void *)link;

		OWN_ATTACH_TYPE(&record, cgroup, type);
		record.cgroup_id = BPF_CORE_READ(cgroup, cgroup, kn, id);
		break;
	}
	case ITER: {
		struct bpf_iter_link *iter = (void *)link;

		READ_NAME(record.name, BPF_CORE_READ(iter, tinfo, reg_info, target));
		break;
	}
	case NETNS: {
		struct bpf_netns_link *netns = (void *)link;
		struct net *net = BPF_CORE_READ(netns, net);

		OWN_ATTACH_TYPE(&record, netns, type);
		/* Gone with its namespace. */
		if (net)
			record.netns = BPF_CORE_READ(net, ns.inum);
		break;
	}
	case XDP: {
		struct bpf_xdp_link *xdp = (void *)link;

		at_interface(&record, BPF_CORE_READ(xdp, dev));
		break;
	}
	case PERF_EVENT:
		at_event(&record, (void *)link);
		break;
	case KPROBE_MULTI: {
		struct bpf_kprobe_multi_link *multi = (void *)link;

		if (bpf_core_field_exists(multi->cnt))
			record.count = BPF_CORE_READ(multi, cnt);
		break;
	}
	case NETFILTER:
		at_netfilter(&record, (void *)link);
		break;
	case TCX: {
		struct tcx_link *tcx = (void *)link;

		OWN_ATTACH_TYPE(&record, tcx, location);
		if (bpf_core_field_exists(tcx->dev))
			at_interface(&record, BPF_CORE_READ(tcx, dev));
		break;
	}
	case UPROBE_MULTI:
		at_file(&record, link);
		break;
	case NETKIT: {
		struct netkit_link *netkit = (void *)link;

		OWN_ATTACH_TYPE(&record, netkit, location);
		if (bpf_core_field_exists(netkit->dev))
			at_interface(&record, BPF_CORE_READ(netkit, dev));
		break;
	}
	default:
		break;
	}
	bpf_seq_write(step->meta->seq, &record, sizeof(record));
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
