"""Wrong credentials: counted for each client, and refused without a look once there were too many of them."""

from collections import OrderedDict

import structlog

from api.application import rate_limits
from api.application.refusals import RateLimited
from api.application.runtime import Runtime
from api.http.pipeline.rate_limits import quota_headers
from domain.accounts.ports import Quota, Tally
from domain.ports import StoreFailed
from domain.time import MICROSECONDS_PER_SECOND, Instant, seconds

CLIENTS_KNOWN_MAX = 10_000
"""Of how many clients a process remembers that they showed too many; of the others it is counted again."""

_log = structlog.get_logger(__name__)


class WrongCredentials:
    """Counts them for all processes together; belongs to one process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._quota = Quota("wrong-credentials", runtime.settings.wrong_credentials_per_minute, 60)
        self._over: OrderedDict[str | None, Instant] = OrderedDict()

    async def count(self, client: str | None, headers: list[tuple[bytes, bytes]]) -> None:
        """Count one. Raises RateLimited for a client that showed too many; ``headers`` get those that say so."""
        tally = self._known(client)
        if tally is None:
            try:
                tally = await rate_limits.count(self._runtime, self._quota, client)
            except StoreFailed as away:
                _log.warning("wrong credential not counted", problem=str(away))
                return
        if tally.count <= self._quota.tries:
            return
        self._remember(client, tally)
        headers.extend(quota_headers(self._quota, tally))
        rate_limits.check(self._quota, tally)

    def refusal(self, client: str | None) -> RateLimited | None:
        """Return why a client is not to be looked up for now, where it showed too many."""
        tally = self._known(client)
        return None if tally is None else RateLimited(retry_after_seconds=max(1, tally.reset_s))

    def _known(self, client: str | None) -> Tally | None:
        until = self._over.get(client)
        if until is None:
            return None
        left = until - self._runtime.clock.now()
        # A clock that stepped back makes nobody wait for longer than a window.
        if not 0 < left <= seconds(self._quota.window_s):
            del self._over[client]
            return None
        return Tally(self._quota.tries + 1, -(-left // MICROSECONDS_PER_SECOND))

    def _remember(self, client: str | None, tally: Tally) -> None:
        if client not in self._over:
            self._over[client] = Instant(self._runtime.clock.now() + seconds(tally.reset_s))
            if len(self._over) > CLIENTS_KNOWN_MAX:
                self._over.popitem(last=False)
