// SPDX-License-Identifier: Apache-2.0

// traffic PIN: packets and bytes by slot, from a pinned map, by cilium/ebpf.
//
// The application loads nothing and holds no capability: the file mode of the pin decides. It opens the map for reading
// only, so `--maps-mode 0640 --maps-group GROUP` is enough.
package main

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf"
)

// traffic is what the program counts: the layout is the contract between program and application.
type traffic struct {
	Packets uint64
	Bytes   uint64
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: traffic PIN")
		os.Exit(1)
	}
	if err := show(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "traffic:", err)
		os.Exit(1)
	}
}

func show(pin string) error {
	counters, err := ebpf.LoadPinnedMap(pin, &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer counters.Close()
	if counters.Type() != ebpf.PerCPUArray {
		return fmt.Errorf("%s is not an array for each CPU", pin)
	}
	for slot := uint32(0); slot < counters.MaxEntries(); slot++ {
		var cpus []traffic
		if err := counters.Lookup(slot, &cpus); err != nil {
			return err
		}
		var sum traffic
		for _, cpu := range cpus {
			sum.Packets += cpu.Packets
			sum.Bytes += cpu.Bytes
		}
		fmt.Println(slot, sum.Packets, sum.Bytes)
	}
	return nil
}
