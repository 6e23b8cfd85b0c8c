#!/bin/sh
# First process of the test machine: mounts, modules, tests, one line with the result, power off.
export PATH=/bin:/usr/sbin:/usr/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
mount -t securityfs securityfs /sys/kernel/security
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf -o mode=700 bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
while read -r module; do
    insmod "/modules/$module.ko" || echo "vm: module $module was refused"
done < /modules/order
read -r uptime rest < /proc/uptime
echo "vm: $(uname -r) is up after $uptime s; security modules $(cat /sys/kernel/security/lsm)"
export BPFMAN_BIN_DIR=/opt/bpfman BPFMAN_TEST_SLOW=1 RUST_BACKTRACE=1 HOME=/root TMPDIR=/tmp
cd /tmp
run_tests() {
    status=0
    . /tests.sh
}
run_tests
echo "vm: exit status $?"
sync
poweroff -f
