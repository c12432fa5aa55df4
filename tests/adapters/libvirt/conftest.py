"""A guest that has booted, shared by the tests of a module that only look into it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from adapters.libvirt.hypervisor import LibvirtHypervisor
from domain.compute.ports import GuestSpec
from tests.guests import KeyPair, Login, guest_spec, new_key_pair


class BootedGuest(msgspec.Struct, frozen=True):
    """A guest that answers, and the way into it."""

    spec: GuestSpec
    login: Login
    keys: KeyPair
    """The guest's own and those that may log in, at once."""


Boot = Callable[..., Awaitable[BootedGuest]]


async def boot(hypervisor: LibvirtHypervisor, folder: Path, spec: GuestSpec, keys: KeyPair) -> BootedGuest:
    """Make a guest and wait until it answers. ``keys`` are the guest's own and those that may log in, at once."""
    await hypervisor.ensure_prepared(spec)
    await hypervisor.ensure_running(spec)
    login = Login(folder, spec.ssh_port, keys, keys)
    await asyncio.to_thread(login.wait)
    return BootedGuest(spec, login, keys)


def check_who_gets_in(guest: BootedGuest, folder: Path) -> None:
    """Check by a stock ``ssh`` that the key that was put in gets in, by the host key that was told, and no other."""
    stranger = new_key_pair()
    assert guest.login.run("true").returncode == 0
    refused = Login(folder, guest.spec.ssh_port, guest.keys, stranger).run("true")
    assert (refused.returncode, "Permission denied" in refused.stderr) == (255, True)
    warned = Login(folder, guest.spec.ssh_port, stranger, guest.keys).run("true")
    assert (warned.returncode, "Host key verification failed" in warned.stderr) == (255, True)


@pytest.fixture
def booted(hypervisor: LibvirtHypervisor, tmp_path: Path) -> Iterator[Boot]:
    """Give the means to boot guests that are removed after the test."""
    made: list[GuestSpec] = []

    async def boot_one(**changes: object) -> BootedGuest:
        keys = new_key_pair()
        made.append(guest_spec(keys, keys, **changes))
        return await boot(hypervisor, tmp_path, made[-1], keys)

    yield boot_one
    for spec in made:
        asyncio.run(hypervisor.ensure_removed(spec.vps_id))


@pytest.fixture(scope="module")
def guest(hypervisor: LibvirtHypervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootedGuest]:
    """Give one guest for the whole module."""
    keys = new_key_pair()
    spec = guest_spec(keys, keys, hostname="web-1", disk_gb=3)
    yield asyncio.run(boot(hypervisor, tmp_path_factory.mktemp("guest"), spec, keys))
    asyncio.run(hypervisor.ensure_removed(spec.vps_id))
