"""Bootstrap of hosts elsewhere: the SSH to each, and what drives it through that."""

import os
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID, uuid5

import msgspec

from adapters.libvirt.hypervisor import LibvirtHypervisor
from adapters.libvirt.remote_files import RemoteHostFiles
from adapters.ssh.machine import MachineLogin, SshMachine
from api.application.host_uris import RemoteHostUri, is_remote, parse_remote_uri
from api.application.settings import Settings, problems_of_hosts
from domain.ids import HostId, LedgerId
from domain.ports import Clock

WAYS = "ways"
"""The folder of sockets that lead to libvirtds elsewhere, each named by its host and the process that it is of."""


_HOSTS_ELSEWHERE = UUID("6c697465-7670-5000-8000-000072656d6f")


class RemoteHost(msgspec.Struct, frozen=True, eq=False):
    """A host elsewhere, and the SSH to it, which is opened once something is wanted of it."""

    host_id: HostId
    uri: RemoteHostUri
    machine: SshMachine


def remote_hosts(settings: Settings) -> list[RemoteHost]:
    """Return the hosts elsewhere that the settings name; nothing is connected yet. To be called in the loop.

    None with settings that no service is started with.
    """
    uris = [uri for uri in settings.compute_uris if is_remote(uri)]
    if not uris or problems_of_hosts(settings):
        return []
    assert settings.host_ssh_key_file is not None, "that would be a problem"
    assert settings.host_known_hosts_file is not None, "that would be a problem"
    client_key = Path(settings.host_ssh_key_file).read_text()
    known_hosts = Path(settings.host_known_hosts_file).read_text()
    found = []
    for parsed in map(parse_remote_uri, uris):
        login = MachineLogin(parsed.hostname, parsed.ssh_port, parsed.user, client_key, known_hosts)
        # The same for every process that drives it, on whatever machine.
        host_id = HostId(uuid5(_HOSTS_ELSEWHERE, parsed.identity))
        found.append(RemoteHost(host_id, parsed, SshMachine(login)))
    return found


def driven(
    host: RemoteHost, home: Path, images: Mapping[str, str], ledger_id: LedgerId, clock: Clock
) -> LibvirtHypervisor:
    """Return what drives a host elsewhere; it is connected once it is asked for something."""
    way = home / WAYS / f"{host.host_id.hex[:12]}.{os.getpid()}.sock"
    machine, theirs = host.machine, host.uri.socket
    return LibvirtHypervisor(
        host_id=host.host_id,
        ledger_id=ledger_id,
        uri=host.uri.tls or f"qemu:///system?socket={way}",
        files=RemoteHostFiles(machine, host.uri.folder, home / "images", images, ledger_id),
        accelerated=host.uri.kvm,
        clock=clock,
        revive=None if host.uri.tls else lambda: machine.lead_socket(way, theirs),
        ssh_host=host.uri.hostname,
    )


def made_ways(home: Path) -> None:
    """Have the folder of sockets there, for our user only, without those of processes that are no more."""
    folder = home / WAYS
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for way in folder.glob("*.sock"):
        if not Path("/proc", way.name.split(".")[1]).exists():
            way.unlink(missing_ok=True)
