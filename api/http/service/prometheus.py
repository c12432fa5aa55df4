"""Metrics of guests as Prometheus reads them: its text format 0.0.4 (docs/decisions/0013-own-exposition.md)."""

from collections.abc import Callable, Iterator, Sequence

from domain.compute.metrics import GuestMetrics, Sample

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Family = tuple[str, str, str, Callable[[GuestMetrics], float | None]]
_FAMILIES: tuple[_Family, ...] = (
    ("litevps_vps_cpu_seconds_total", "counter", "Processor time since its start.", lambda one: one.cpu_ns / 1e9),
    ("litevps_vps_memory_bytes", "gauge", "What its machine takes of its host.", lambda one: one.memory_bytes),
    ("litevps_vps_disk_read_bytes_total", "counter", "Since its start.", lambda one: one.disk_read_bytes),
    ("litevps_vps_disk_written_bytes_total", "counter", "Since its start.", lambda one: one.disk_written_bytes),
    (
        "litevps_vps_network_received_bytes_total",
        "counter",
        "Since its start; absent where its host does not see it.",
        lambda one: one.network_received_bytes,
    ),
    (
        "litevps_vps_network_sent_bytes_total",
        "counter",
        "Since its start; absent where its host does not see it.",
        lambda one: one.network_sent_bytes,
    ),
)


def exposition(samples: Sequence[Sample]) -> str:
    """Return the newest counters of every VPS that is on. Labels are ids only: nothing in them needs escaping."""
    return "".join(_lines(samples))


def _lines(samples: Sequence[Sample]) -> Iterator[str]:
    labels = [f'{{vps_id="{one.metrics.vps_id}",host_id="{one.host_id}"}}' for one in samples]
    for name, kind, meaning, read in _FAMILIES:
        yield f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"
        for label, sample in zip(labels, samples, strict=True):
            value = read(sample.metrics)
            if value is not None:
                yield f"{name}{label} {value}\n"
    yield "# HELP litevps_vps_on How many VPSs are on, as hosts show them.\n# TYPE litevps_vps_on gauge\n"
    yield f"litevps_vps_on {len(samples)}\n"
