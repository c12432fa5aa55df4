"""The full guest: Debian 12 with systemd, apt and cloud-init, as whoever rents a machine expects it."""

from adapters.guest_image.recipe import Recipe

FULL = Recipe(
    name="debian-12",
    variant="minbase",
    packages=(
        "bash-completion",
        "busybox-static",  # Of the initrd, and of the first boot.
        "ca-certificates",
        "cloud-init",
        "curl",
        "dbus",
        "e2fsprogs",
        "git",
        "iproute2",
        "iputils-ping",
        "kmod",
        "less",
        "nano",
        "netbase",
        "openssh-client",
        "openssh-server",
        "openssh-sftp-server",
        "procps",
        "python3",
        "sudo",
        "systemd-resolved",
        "systemd-sysv",
        "tzdata",
        "udev",
        "usr-is-merged",
        "wget",
    ),
    file_system_mib=1536,
    rootfs=("rootfs_common", "rootfs_full"),
    full=True,
    excluded=("doc/*", "man/*", "locale/*", "info/*", "lintian/*"),
    left_out=(
        "var/cache/apt",
        "var/cache/debconf",
        "var/lib/apt/lists",
        "var/log/apt",
    ),
    left_out_files=("var/log/*.log", "var/lib/dpkg/*-old"),
)
