"""Reads off what a host shows of what our guests use: processor, memory, disk, network."""

import uuid
from collections.abc import Iterator

import libvirt

from adapters.libvirt.observations import MarkReader
from domain.compute.metrics import GuestMetrics
from domain.ids import VpsId

_STATS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_BLOCK
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
)
_FLAGS = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
"""Of those that are on; a guest that is busy with something else tells nothing this time, and keeps nobody waiting."""


def measure_all(connection: libvirt.virConnect, marks: MarkReader) -> Iterator[GuestMetrics]:
    """Yield what each guest of ours that is on has used since its start."""
    for domain, figures in connection.getAllDomainStats(_STATS, _FLAGS):
        try:
            mark = marks.of_running(domain)
        except libvirt.libvirtError as failed:
            if failed.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                continue  # It went off while we asked.
            raise
        if mark is not None and "cpu.time" in figures:
            yield _metrics(VpsId(uuid.UUID(domain.UUIDString())), mark.generation, figures)


def _metrics(vps_id: VpsId, generation: int, figures: dict[str, int]) -> GuestMetrics:
    disks, cards = range(figures.get("block.count", 0)), range(figures.get("net.count", 0))
    return GuestMetrics(
        vps_id=vps_id,
        generation=generation,
        cpu_ns=figures["cpu.time"],
        memory_bytes=figures.get("balloon.rss", 0) * 1024,
        disk_read_bytes=sum(figures.get(f"block.{k}.rd.bytes", 0) for k in disks),
        disk_written_bytes=sum(figures.get(f"block.{k}.wr.bytes", 0) for k in disks),
        # A card that ends in the guest's own machine is none that the host knows of.
        network_received_bytes=sum(figures.get(f"net.{k}.rx.bytes", 0) for k in cards) if cards else None,
        network_sent_bytes=sum(figures.get(f"net.{k}.tx.bytes", 0) for k in cards) if cards else None,
    )
