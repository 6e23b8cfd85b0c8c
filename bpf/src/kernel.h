/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Of the kernel's structures as much as is read. Where a field lies in the running kernel is filled in when the object is
 * compiled to a load plan; a field that some kernel lacks is read only after asking for it.
 */
#pragma once

#include <linux/bpf.h>

#define RELOCATED __attribute__((preserve_access_index))

struct seq_file {
} RELOCATED;

struct bpf_iter_meta {
	struct seq_file *seq;
} RELOCATED;

typedef struct {
	unsigned int val;
} RELOCATED kuid_t;

struct user_struct {
	kuid_t uid;
} RELOCATED;

struct btf {
	__u32 id;
} RELOCATED;

struct bpf_map {
	enum bpf_map_type map_type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u64 map_extra;
	__u32 map_flags;
	__u32 id;
	struct btf *btf;
	char name[16];
	_Bool frozen;
} RELOCATED;

struct bpf_prog_aux {
	__u32 used_map_cnt;
	__u32 id;
	struct bpf_map **used_maps;
	struct user_struct *user;
	__u64 load_time;
	__u32 verified_insns;
	char name[16];
	struct btf *btf;
} RELOCATED;

struct bpf_prog {
	__u16 pages;
	__u16 gpl_compatible : 1;
	enum bpf_prog_type type;
	__u32 len;
	__u32 jited_len;
	__u8 tag[8];
	struct bpf_prog_aux *aux;
} RELOCATED;

struct bpf_link {
	__u32 id;
	enum bpf_link_type type;
	struct bpf_prog *prog;
	/* Since Linux 6.17 every link has it, before that some kinds had their own. */
	enum bpf_attach_type attach_type;
} RELOCATED;

struct ns_common {
	unsigned int inum;
} RELOCATED;

struct net {
	struct ns_common ns;
} RELOCATED;

typedef struct {
	struct net *net;
} RELOCATED possible_net_t;

struct net_device {
	char name[16];
	int ifindex;
	possible_net_t nd_net;
} RELOCATED;

struct tracepoint {
	const char *name;
} RELOCATED;

struct bpf_raw_event_map {
	struct tracepoint *tp;
} RELOCATED;

struct bpf_raw_tp_link {
	struct bpf_raw_event_map *btp;
} RELOCATED;

struct bpf_trampoline {
	__u64 key;
} RELOCATED;

struct bpf_tracing_link {
	enum bpf_attach_type attach_type;
	struct bpf_trampoline *trampoline;
} RELOCATED;

struct kernfs_node {
	__u64 id;
} RELOCATED;

struct cgroup {
	struct kernfs_node *kn;
} RELOCATED;

struct bpf_cgroup_link {
	struct cgroup *cgroup;
	enum bpf_attach_type type;
} RELOCATED;

struct bpf_iter_reg {
	const char *target;
} RELOCATED;

struct bpf_iter_target_info {
	struct bpf_iter_reg *reg_info;
} RELOCATED;

struct bpf_iter_link {
	struct bpf_iter_target_info *tinfo;
} RELOCATED;

struct bpf_netns_link {
	enum bpf_attach_type type;
	struct net *net;
} RELOCATED;

struct bpf_xdp_link {
	struct net_device *dev;
} RELOCATED;

struct trace_event_class {
	const char *system;
} RELOCATED;

struct trace_event_call {
	struct trace_event_class *class;
	const char *name;
} RELOCATED;

struct perf_event_attr {
	__u32 type;
	__u64 config;
} RELOCATED;

struct perf_event {
	struct perf_event_attr attr;
	struct trace_event_call *tp_event;
} RELOCATED;

struct file {
	void *private_data;
} RELOCATED;

struct bpf_perf_link {
	struct file *perf_file;
} RELOCATED;

struct bpf_kprobe_multi_link {
	__u32 cnt;
} RELOCATED;

struct qstr {
	const unsigned char *name;
} RELOCATED;

struct dentry {
	struct qstr d_name;
} RELOCATED;

struct path {
	struct dentry *dentry;
} RELOCATED;

struct bpf_uprobe_multi_link {
	struct path path;
	struct bpf_link link;
	__u32 cnt;
} RELOCATED;

struct nf_hook_ops {
	__u8 pf;
	unsigned int hooknum;
	int priority;
} RELOCATED;

struct bpf_nf_link {
	struct nf_hook_ops hook_ops;
} RELOCATED;

struct tcx_link {
	struct net_device *dev;
	enum bpf_attach_type location;
} RELOCATED;

struct netkit_link {
	struct net_device *dev;
	enum bpf_attach_type location;
} RELOCATED;
