// SPDX-License-Identifier: Apache-2.0
/*
 * traffic PIN: packets and bytes by slot, from a pinned map, by libbpf.
 *
 * The application loads nothing and holds no capability: the file mode of the pin decides. It opens the map for reading
 * only, so `--maps-mode 0640 --maps-group GROUP` is enough.
 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As the program has it: the layout is the contract between program and application. */
struct traffic {
	__u64 packets;
	__u64 bytes;
};

static int fail(const char *what, int error)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(error < 0 ? -error : error));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_obj_get_opts, read_only, .file_flags = BPF_F_RDONLY);
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	struct traffic *values;
	int cpus, map, error;

	if (argc != 2) {
		fprintf(stderr, "usage: traffic PIN\n");
		return EXIT_FAILURE;
	}
	map = bpf_obj_get_opts(argv[1], &read_only);
	if (map < 0)
		return fail(argv[1], map);
	error = bpf_obj_get_info_by_fd(map, &info, &size);
	if (error)
		return fail("the map tells nothing of itself", error);
	if (info.type != BPF_MAP_TYPE_PERCPU_ARRAY || info.value_size != sizeof(struct traffic)) {
		fprintf(stderr, "traffic: %s is not an array of counters for each CPU\n", argv[1]);
		return EXIT_FAILURE;
	}
	/* A lookup fills one value for each CPU that the machine may ever have. */
	cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return fail("the number of CPUs", cpus);
	values = calloc(cpus, sizeof(*values));
	if (!values)
		return fail("memory", ENOMEM);

	for (__u32 slot = 0; slot < info.max_entries; slot++) {
		struct traffic sum = {};

		error = bpf_map_lookup_elem(map, &slot, values);
		if (error)
			return fail("lookup", error);
		for (int cpu = 0; cpu < cpus; cpu++) {
			sum.packets += values[cpu].packets;
			sum.bytes += values[cpu].bytes;
		}
		printf("%u %llu %llu\n", slot, (unsigned long long)sum.packets,
		       (unsigned long long)sum.bytes);
	}
	free(values);
	return EXIT_SUCCESS;
}
