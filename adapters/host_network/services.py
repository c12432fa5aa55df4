"""The processes beside the filter, which outlive the service: addresses (DHCP), names of the world, names of lists."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from adapters.host_network.commands import Commands
from adapters.host_network.plan import BRIDGE, LISTED_RESOLVER_PORT, RESOLVER_PORT, GuestEntry, NetworkPlan
from domain.compute.ports import NetworkUnavailable

END_TIMEOUT_S = 3.0
START_TIMEOUT_S = 10.0
LEASE = "1h"
NAMES_ASKED_MAX = 20_000
"""Names of all guests that others are asked for at once. One guest may ask for 200 a second (``filter.nft``), and each
may wait ten seconds for servers of its own that never answer: that leaves room for the rest."""
_TOLD_CHARACTERS = 500


class HostService(msgspec.Struct, frozen=True):
    """A process that is to run with just this configuration: another one, and it is started anew."""

    name: str
    command: tuple[str, ...]
    configuration: str
    folder: Path

    @property
    def configuration_file(self) -> Path:
        """The configuration that the running process was started with."""
        return self.folder / f"{self.name}.conf"

    @property
    def pid_file(self) -> Path:
        """Where it tells its process."""
        return self.folder / f"{self.name}.pid"

    def ensure_running(self, commands: Commands) -> None:
        """Have it running as configured. Raises NetworkUnavailable."""
        known = self.configuration_file.read_text() if self.configuration_file.is_file() else None
        if known == self.configuration and self.pid() is not None:
            return
        self.end()
        part = self.configuration_file.with_suffix(".part")
        part.write_text(self.configuration)
        part.rename(self.configuration_file)
        log = self.folder / f"{self.name}.log"
        commands.start(*self.command, log=log)
        end = time.monotonic() + START_TIMEOUT_S
        while self.pid() is None:
            if time.monotonic() > end:
                raise NetworkUnavailable(f"{self.name} does not start: {log.read_text()[-_TOLD_CHARACTERS:]}")
            time.sleep(0.01)

    def end(self) -> None:
        """Have it ended; what does not run counts as ended."""
        end = time.monotonic() + END_TIMEOUT_S
        sent = signal.SIGTERM
        while (pid := self.pid()) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, sent)
            time.sleep(0.01)
            if time.monotonic() > end:
                sent = signal.SIGKILL
        self.pid_file.unlink(missing_ok=True)

    def pid(self) -> int | None:
        """Return its process; None where it does not run. Process ids are used again, so its words are looked at."""
        try:
            pid = int(self.pid_file.read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError, IndexError):
            return None
        return pid if state != "Z" and any(str(self.configuration_file) in word for word in words) else None


def services_of(plan: NetworkPlan, entries: Iterable[GuestEntry]) -> Sequence[HostService]:
    """Return what has to run beside the filter for these guests."""
    return (_addresses(plan, entries), _names(plan), _listed_names(plan))


def _addresses(plan: NetworkPlan, entries: Iterable[GuestEntry]) -> HostService:
    """Return the server of addresses. It remembers no lease, so that an address is its next guest's at once."""
    lines = [
        "port=0",
        f"interface={BRIDGE}",
        "bind-dynamic",
        "except-interface=lo",
        f"dhcp-range={plan.network[0]},static,{plan.network.netmask},{LEASE}",
        "dhcp-authoritative",
        "leasefile-ro",
        "no-ping",
        "quiet-dhcp",
        f"dhcp-option=option:router,{plan.gateway}",
        f"dhcp-option=option:dns-server,{plan.gateway}",
        *(f"dhcp-host={entry.mac},{plan.address_of(entry.ssh_port)}" for entry in entries),
    ]
    return _dnsmasq(plan, "addresses", lines)


def _names(plan: NetworkPlan) -> HostService:
    """Return the resolver of those that may reach the internet. No name leads into a private network by its word."""
    lines = [
        f"port={RESOLVER_PORT}",
        f"listen-address={plan.gateway}",
        "bind-interfaces",
        "except-interface=lo",
        "no-hosts",
        "stop-dns-rebind",
        "bogus-priv",
        "domain-needed",
        "filter-AAAA",
        "cache-size=10000",
        f"dns-forward-max={NAMES_ASKED_MAX}",
        *(("no-resolv", *(f"server={server}" for server in plan.name_servers)) if plan.name_servers else ()),
    ]
    return _dnsmasq(plan, "names", lines)


def _listed_names(plan: NetworkPlan) -> HostService:
    """Return the resolver of those that may reach a few names only."""
    folder = plan.folder / "run"
    settings = {
        "guests": str(plan.folder / "guests"),
        "denials": str(plan.folder / "names"),
        "network": str(plan.network),
        "listen": [str(plan.gateway), LISTED_RESOLVER_PORT],
        "upstream": [str(plan.gateway), RESOLVER_PORT],
        "pid_file": str(folder / "listed-names.pid"),
    }
    configuration = folder / "listed-names.conf"
    command = ("setsid", "--fork", sys.executable, "-I", "-m", "adapters.host_network.resolver", str(configuration))
    return HostService("listed-names", command, msgspec.json.encode(settings).decode() + "\n", folder)


def _dnsmasq(plan: NetworkPlan, name: str, lines: Sequence[str]) -> HostService:
    folder = plan.folder / "run"
    command = ("dnsmasq", f"--conf-file={folder / name}.conf", f"--pid-file={folder / name}.pid")
    return HostService(name, command, "\n".join(lines) + "\n", folder)


def programs_missing() -> list[str]:
    """Return the programs that a network needs and this machine lacks."""
    needed = {"nft": "nftables", "dnsmasq": "dnsmasq-base", "ip": "iproute2", "bridge": "iproute2", "sysctl": "procps"}
    search = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"
    return sorted({package for name, package in needed.items() if shutil.which(name, path=search) is None})
