"""What is told of the metrics of a VPS."""

from collections.abc import Sequence
from typing import Any

import msgspec

from api.http.rendering import Time
from domain.compute.metrics import GRAIN_S, Rates
from domain.time import to_rfc3339

METRICS_EXAMPLE: dict[str, Any] = {
    "step_seconds": 10,
    "samples": [
        {
            "at": "2026-11-23T17:00:10.014Z",
            "cpu_percent": 3.7,
            "memory_bytes": 214_630_400,
            "disk_read_bytes_per_second": 0,
            "disk_written_bytes_per_second": 8_192,
            "network_received_bytes_per_second": None,
            "network_sent_bytes_per_second": None,
        }
    ],
}


class SampleResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a VPS used between two looks at its host."""

    at: Time
    cpu_percent: float | None
    """Of one processor: a VPS with two can use 200."""
    memory_bytes: int
    """What the machine of the guest takes of its host's memory."""
    disk_read_bytes_per_second: int | None
    disk_written_bytes_per_second: int | None
    network_received_bytes_per_second: int | None
    network_sent_bytes_per_second: int | None
    """By the VPS; null also where its host sees nothing of its network."""


class MetricsResponse(msgspec.Struct, frozen=True):
    """What a VPS used within the last hour."""

    step_seconds: int
    samples: tuple[SampleResponse, ...]

    @classmethod
    def of(cls, rates: Sequence[Rates]) -> "MetricsResponse":
        """Return metrics as they are told."""
        return cls(
            GRAIN_S,
            tuple(
                SampleResponse(
                    at=to_rfc3339(one.at),
                    cpu_percent=None if one.cpu_permille is None else one.cpu_permille / 10,
                    memory_bytes=one.memory_bytes,
                    disk_read_bytes_per_second=one.disk_read,
                    disk_written_bytes_per_second=one.disk_written,
                    network_received_bytes_per_second=one.network_received,
                    network_sent_bytes_per_second=one.network_sent,
                )
                for one in rates
            ),
        )
