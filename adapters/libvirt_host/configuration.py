"""What the embedded host's daemons are told: who may ask, who QEMU runs as, how long logs grow."""

from pathlib import Path

LIBVIRTD = """\
# A unix socket for its owner, and no other way in.
listen_tls = 0
listen_tcp = 0
unix_sock_rw_perms = "0600"
unix_sock_ro_perms = "0600"
unix_sock_admin_perms = "0600"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
# Answers long jobs, such as a shutdown, and short questions at the same time.
min_workers = 4
max_workers = 16
max_clients = 100
"""

QEMU = """\
# QEMU is nobody special, and its system calls are filtered.
user = "libvirt-qemu"
group = "kvm"
seccomp_sandbox = 1
security_driver = "none"
# The daemon lives in a mount namespace of its own already.
namespaces = []
remember_owner = 0
stdio_handler = "logd"
# A guest's memory may hold secrets.
dump_guest_core = 0
max_core = 0
"""

VIRTLOGD = """\
# Bounds a guest's console and QEMU's own log: 1 MiB each and one older.
log_outputs = "3:file:/var/log/libvirt/virtlogd.log"
max_size = 1048576
max_backups = 1
"""

DRIVERS = Path("/usr/lib") / "x86_64-linux-gnu" / "libvirt" / "connection-driver"
DRIVER_FILES = ("libvirt_driver_qemu.so", "libvirt_driver_secret.so")


def write(folder: Path) -> None:
    """Write the configuration into the folder that is bound to /etc/libvirt."""
    for name, text in (("libvirtd.conf", LIBVIRTD), ("qemu.conf", QEMU), ("virtlogd.conf", VIRTLOGD)):
        (folder / name).write_text(text)
