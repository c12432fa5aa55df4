"""Rate limits: quotas counted for all processes together."""

from api.application.refusals import RateLimited
from api.application.runtime import Runtime
from domain.accounts.ports import Quota, Tally

_NO_ADDRESS = "-"


async def count(runtime: Runtime, quota: Quota, subject: str | None) -> Tally:
    """Count one request of a subject against a quota."""
    return (await runtime.rate_counters.count([(quota, subject or _NO_ADDRESS)]))[0]


def check(quota: Quota, tally: Tally) -> None:
    """Raise RateLimited for a request beyond its quota."""
    if tally.count > quota.tries:
        raise RateLimited(retry_after_seconds=max(1, tally.reset_s))
