#!/bin/sh
# Starts virtlogd and libvirtd in a mount namespace of their own, as root.
#
#   unshare --mount --propagation private sh start.sh FOLDER IMAGES OWNER KVM BRIDGED
#
# FOLDER  everything of this host; IMAGES  the images, read only for guests
# OWNER   uid that the socket belongs to; KVM  yes or no: do guests get /dev/kvm; BRIDGED  are they at a bridge
#
# What libvirt keeps under /etc, /run and /var is bound from FOLDER, so nothing of a libvirt that the
# machine has besides is seen or touched. Only processes started from here see any of these mounts.
set -eu
folder=$1 images=$2 owner=$3 kvm=$4 bridged=$5

# A /dev without the machine's devices. /dev/kvm is there only where a probe saw it boot a guest: libvirt
# believes in it without trying.
dev=$folder/dev
mount -t tmpfs -o mode=0755,size=1m,nosuid,noexec dev "$dev"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 0666 "$dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 0666 "$dev/tty" c 5 0
[ "$kvm" = no ] || mknod -m 0666 "$dev/kvm" c 10 232
if [ "$bridged" = yes ]; then
    # libvirtd makes the guests' bridge ports by it; QEMU is handed the port, and cannot open this.
    mkdir "$dev/net"
    mknod -m 0600 "$dev/net/tun" c 10 200
    # It also asks for this machine's name at each start of a guest: 5 s where no name server answers.
    { cat /etc/hosts && echo "127.0.1.1 $(hostname)"; } >"$folder/hosts"
    mount --bind "$folder/hosts" /etc/hosts
fi
mkdir "$dev/pts" "$dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev,noexec shm "$dev/shm"
ln -s pts/ptmx "$dev/ptmx"
ln -s /proc/self/fd "$dev/fd"
mount --move "$dev" /dev

# No D-Bus, no systemd, no control groups: guests are registered nowhere outside, and two hosts on one
# machine cannot meet.
mount -t tmpfs -o mode=0755,size=64m,nosuid,nodev run /run
umount --recursive --lazy /sys/fs/cgroup 2>/dev/null || true
[ ! -d /sys/fs/cgroup ] || mount -t tmpfs -o ro,size=4k none /sys/fs/cgroup 2>/dev/null || true

mkdir -p /run/libvirt /run/lock
mount --bind "$folder/run" /run/libvirt
mount --bind "$folder/cache" /var/cache/libvirt
mount --bind "$folder/log" /var/log/libvirt
mount --bind "$folder/etc" /etc/libvirt
# The guests' folder may lie where QEMU's user cannot go, such as below a home folder of mode 0700.
mount --bind "$images" "$folder/lib/images"
mount -o remount,bind,ro "$folder/lib/images"
mount --bind "$folder/guests" "$folder/lib/guests"
mount --rbind "$folder/lib" /var/lib/libvirt

# Only the driver for QEMU: the one for networks would ask the machine's firewall.
export LIBVIRT_DRIVER_DIR=/run/libvirt/drivers
cd /

running() {
    pid=$(cat "/run/libvirt/$1.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ]
}

umask 077
running virtlogd || virtlogd --daemon --config /etc/libvirt/virtlogd.conf --pid-file /run/libvirt/virtlogd.pid
running libvirtd || libvirtd --daemon --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/libvirtd.pid
chown "$owner" /run/libvirt/libvirt-sock
