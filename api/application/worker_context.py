"""The worker context: what steps and jobs are done with."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from api.application.repository import AggregateRepository, CommandContext, CommandResult, Decide
from domain.blobs import Blobs
from domain.compute.ports import GuestAddress, GuestShell, GuestSpec, Hypervisor
from domain.compute.vps import Vps, egress_of, vps_ref
from domain.compute.work import Leases, OpenWork
from domain.deciding import AggregateRef
from domain.events import Actor
from domain.ids import AccountId, HostId, VpsId
from domain.ports import Clock, EventStore, Sealer


class WorkerContext(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything that a step, a job or a comparison of hosts may need."""

    store: EventStore
    aggregates: AggregateRepository
    sealer: Sealer
    clock: Clock
    hypervisors: Mapping[HostId, Hypervisor]
    shell: GuestShell
    service_key: str
    """The public half of the key by which the service logs into guests."""
    leases: Leases
    work: OpenWork
    blobs: Blobs
    """What commands were given and came out with, and scripts for the first boot."""
    settle: Callable[[AccountId], Awaitable[object]]
    """Pays what is due of one account, before a meter of it is closed."""

    async def vps(self, vps_id: VpsId) -> Vps | None:
        """Return the present state of a VPS."""
        ref = vps_ref(vps_id)
        return (await self.aggregates.load(ref)).of(ref)

    async def record(
        self, refs: Sequence[AggregateRef[Any]], decide: Decide, step: str, account_id: AccountId | None
    ) -> CommandResult[None]:
        """Record as the service itself what ``decide`` says, for the account that it is about."""
        context = CommandContext(actor=Actor(kind="service", part="worker"), account_id=account_id, step=step)
        return await self.aggregates.execute(refs, decide, context)


def spec_of(
    vps: Vps, service_key: str, *, host_key_private: str = "", user_data: str | None = None, image_key: str = ""
) -> GuestSpec:
    """Return what a host must know of a VPS that has its place; the last three, to prepare it."""
    assert vps.ssh_port is not None, "a VPS is placed before it is made"
    return GuestSpec(
        vps_id=vps.vps_id,
        generation=vps.generation,
        hostname=vps.name,
        vcpu=vps.vcpu,
        memory_mb=vps.memory_mb,
        disk_gb=vps.disk_gb,
        image=vps.image,
        ssh_port=vps.ssh_port,
        authorized_keys=(service_key, *vps.authorized_keys),
        host_key_private=host_key_private,
        user_data=user_data,
        image_key=image_key,
        egress=egress_of(vps),
    )


def address_of(vps: Vps) -> GuestAddress:
    """Return how the guest of a prepared VPS is reached."""
    assert vps.ssh_host is not None
    assert vps.ssh_port is not None
    assert vps.host_key_public is not None, "a VPS is prepared before it is reached"
    return GuestAddress(
        vps_id=vps.vps_id,
        ssh_host=vps.ssh_host,
        ssh_port=vps.ssh_port,
        host_key_public=vps.host_key_public,
        host_id=vps.host_id,
    )
