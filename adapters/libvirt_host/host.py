"""The embedded host: a libvirtd of our own, in a folder of our own, that outlives who started it."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.libvirt_host import configuration

SOCKET_PATH_BYTES_MAX = 107
"""Longest path of a unix socket on Linux (``sun_path``, less its closing NUL)."""

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
_LISTEN_S = 0.1
"""How long a daemon is listened to: it says nothing before it is asked."""

_ALONE = "bridged: no "
"""The mode of a host that was started before there were others."""
_HERE = Path(__file__).parent
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_FOLDERS = tuple(map(Path, ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")))
_PROGRAMS = ("libvirtd", "virtlogd", "qemu-system-x86_64", "qemu-img", "unshare")


class HostNotStarted(Exception):
    """The embedded host cannot run here; the message says why and what helps."""


class EmbeddedHost:
    """libvirtd and virtlogd with their configuration, sockets, guests and logs under one folder.

    Needs root, or sudo that asks for no password. The daemons and their guests go on when this process
    ends; whoever comes next with the same folder finds them and takes them over.
    """

    def __init__(
        self,
        folder: Path,
        *,
        images: Path,
        kvm: bool = False,
        bridged: bool = False,
        namespace: Path | None = None,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``images`` is where guests' images are; ``kvm`` whether a probe saw KVM boot a guest here.

        ``bridged``: whether guests hang on a bridge; ``namespace``: the network namespace that it is in, if not ours.
        """
        self._folder = folder.resolve()
        self._images = images.resolve()
        self._kvm = kvm
        self._bridged = bridged
        self._namespace = namespace
        self._on_progress = on_progress

    @property
    def uri(self) -> str:
        """Where libvirt's clients reach this host; it answers once the host is started."""
        return f"qemu:///system?socket={self.socket}"

    @property
    def socket(self) -> Path:
        """libvirtd's socket, of mode 0600."""
        return self._folder / "run" / "libvirt-sock"

    @property
    def guests(self) -> Path:
        """Where guests' disks are kept, as this process sees it."""
        return self._folder / "guests"

    @property
    def images(self) -> Path:
        """Where guests' images are, as this process sees it."""
        return self._images

    guests_inside = Path("/var/lib/libvirt/guests")
    """The same folder of disks as libvirtd and QEMU see it."""
    images_inside = Path("/var/lib/libvirt/images")
    """The same folder of images as libvirtd and QEMU see it; they cannot write there."""

    @property
    def guest_logs(self) -> Path:
        """Where QEMU's own log of each guest is, as this process sees it."""
        return self._folder / "log" / "qemu"

    def ensure_started(self) -> str:
        """Start the daemons unless they run already; return the URI. Raises HostNotStarted."""
        self._check_machine()
        with self._alone():
            if self._answers():
                if (self._mode_file.read_text() if self._mode_file.is_file() else _ALONE) == self._mode:
                    self._on_progress("the host runs already")
                    return self.uri
                self._on_progress("starting libvirtd anew, with another network")
                self._end(kill_guests=False)
            self._make_folders()
            self._mode_file.write_text(self._mode)
            self._on_progress("starting libvirtd")
            inside = () if self._namespace is None else ("nsenter", f"--net={self._namespace}", "--")
            self._as_root(
                *inside, "unshare", "--mount", "--propagation", "private",
                sys.executable, "-I", str(_HERE / "reaper.py"),
                "sh", str(_HERE / "start.sh"), str(self._folder), str(self._images),
                str(os.geteuid()), _yes_or_no(self._kvm), _yes_or_no(self._bridged), timeout_s=START_TIMEOUT_S,
            )  # fmt: skip
            if not self._answers():
                raise HostNotStarted(f"libvirtd does not answer; see {self._folder / 'log'}")
        return self.uri

    def stop(self, *, kill_guests: bool) -> None:
        """End the daemons, and the guests too if told; what is not running counts as ended."""
        if not self._folder.is_dir():
            return
        with self._alone():
            self._end(kill_guests=kill_guests)

    def remove(self) -> None:
        """Stop everything, and delete the folder with every guest's disk in it. For tests and uninstalling."""
        self.stop(kill_guests=True)
        if self._folder.is_dir():
            self._as_root("rm", "-rf", "--one-file-system", str(self._folder), timeout_s=STOP_TIMEOUT_S)

    def _end(self, *, kill_guests: bool) -> None:
        guests = _yes_or_no(kill_guests)
        self._as_root("sh", str(_HERE / "stop.sh"), str(self._folder), guests, timeout_s=STOP_TIMEOUT_S)

    @property
    def _mode(self) -> str:
        """What daemons cannot change while they run: what they find in /dev, and the network that they are in."""
        return f"bridged: {_yes_or_no(self._bridged)} {self._namespace or ''}"

    @property
    def _mode_file(self) -> Path:
        return self._folder / "mode"

    def _check_machine(self) -> None:
        length = len(os.fsencode(self.socket))
        if length > SOCKET_PATH_BYTES_MAX:
            raise HostNotStarted(
                f"the socket's path {self.socket} has {length} bytes, and Linux allows "
                f"{SOCKET_PATH_BYTES_MAX}: choose a home folder with a shorter name"
            )
        search = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"
        missing = [name for name in _PROGRAMS if shutil.which(name, path=search) is None]
        missing += [str(folder) for folder in _MACHINE_FOLDERS if not folder.is_dir()]
        if missing:
            raise HostNotStarted(
                f"missing on this machine: {', '.join(missing)}; "
                "install libvirt-daemon-system, qemu-system-x86 and qemu-utils"
            )

    def _make_folders(self) -> None:
        """Make what the daemons' folders are bound from, emptied of what a former boot of the machine left."""
        boot_id = _BOOT_ID.read_text().strip()
        marker = self._folder / "boot-id"
        if not marker.is_file() or marker.read_text() != boot_id:
            # Pid files and sockets of before: libvirtd would believe in guests that are long gone.
            self._as_root("rm", "-rf", str(self._folder / "run"), timeout_s=STOP_TIMEOUT_S)
            marker.write_text(boot_id)
        for name in ("etc", "lib", "lib/images", "lib/guests", "cache", "log", "log/qemu", "run", "run/drivers", "dev"):
            (self._folder / name).mkdir(exist_ok=True)
        # QEMU's user passes through, but cannot look round; others do not even get to this folder.
        self.guests.mkdir(exist_ok=True)
        self.guests.chmod(0o711)
        (self._folder / "lib").chmod(0o755)
        configuration.write(self._folder / "etc")
        for name in configuration.DRIVER_FILES:
            link = self._folder / "run/drivers" / name
            link.unlink(missing_ok=True)
            link.symlink_to(configuration.DRIVERS / name)

    def _answers(self) -> bool:
        """Return whether somebody listens at the socket, and goes on doing so."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_LISTEN_S)
            try:
                probe.connect(str(self.socket))
                # A daemon that was just killed may still have taken the connection; it hangs up at once.
                probe.recv(1)
            except TimeoutError:
                return True
            except OSError:
                return False
        return False

    def _as_root(self, *command: str, timeout_s: float) -> None:
        prefix = () if os.geteuid() == 0 else ("sudo", "-n")
        # Output goes to a file: a pipe would be held open by the daemons, and we would wait for ever.
        with (self._folder / "last-command.log").open("w+") as log:
            try:
                subprocess.run(
                    (*prefix, *command), check=True, timeout=timeout_s, cwd="/", start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
            except subprocess.TimeoutExpired as late:
                raise HostNotStarted(f"{command[0]} took longer than {timeout_s:.0f} s") from late
            except subprocess.CalledProcessError as failed:
                log.seek(0)
                raise HostNotStarted(f"{' '.join(command)} failed: {log.read()[-2000:]}") from failed

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process starts or stops this host."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _yes_or_no(true: bool) -> str:
    return "yes" if true else "no"
