"""Reading many things together, of which one that cannot be read costs only itself."""

from collections.abc import Mapping
from typing import TypeVar

import structlog

from api.application.repository import AggregateRepository
from domain.deciding import AggregateRef
from domain.ports import StoreFailed

K = TypeVar("K")
S = TypeVar("S")

_log = structlog.get_logger(__name__)


async def read_apart(aggregates: AggregateRepository, refs: Mapping[K, AggregateRef[S]]) -> dict[K, S]:
    """Return the state of each aggregate but those that cannot be read, of which the log tells. Raises StoreFailed.

    They are read together, and only if that fails one after the other.
    """
    try:
        loaded = await aggregates.load(*refs.values())
    except StoreFailed:
        raise
    except Exception:  # noqa: BLE001 Each is read by itself then, and whoever is to blame found so.
        return await _one_by_one(aggregates, refs)
    return {key: loaded.of(ref) for key, ref in refs.items()}


async def _one_by_one(aggregates: AggregateRepository, refs: Mapping[K, AggregateRef[S]]) -> dict[K, S]:
    states = {}
    for key, ref in refs.items():
        try:
            states[key] = (await aggregates.load(ref)).of(ref)
        except StoreFailed:
            raise
        except Exception:  # noqa: BLE001 Of this one.
            _log.exception("left out, since it cannot be read", key=str(key), stream=str(ref.stream))
    return states
