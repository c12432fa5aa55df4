"""Reading many things together, of which one that cannot be read costs only itself."""

from collections.abc import Mapping
from typing import TypeVar

import structlog

from api.application.repository import Ledger
from domain.deciding import View
from domain.ports import StoreFailed

K = TypeVar("K")
S = TypeVar("S")

_log = structlog.get_logger(__name__)


async def read_apart(ledger: Ledger, views: Mapping[K, View[S]]) -> dict[K, S]:
    """Return the state of each view, without those that cannot be read, of which the log tells. Raises StoreFailed.

    They are read together, and only if that fails one after the other.
    """
    try:
        sight = await ledger.read(*views.values())
    except StoreFailed:
        raise
    except Exception:  # noqa: BLE001 Each is read by itself then, and whoever is to blame found so.
        return await _one_by_one(ledger, views)
    return {key: sight.of(view) for key, view in views.items()}


async def _one_by_one(ledger: Ledger, views: Mapping[K, View[S]]) -> dict[K, S]:
    states = {}
    for key, view in views.items():
        try:
            states[key] = (await ledger.read(view)).of(view)
        except StoreFailed:
            raise
        except Exception:  # noqa: BLE001 Of this one.
            _log.exception("left out, since it cannot be read", key=str(key), stream=str(view.stream))
    return states
