"""Rate limits: quotas counted for all processes together, and the headers that tell of them."""

from api.application.runtime import Runtime
from api.http.pipeline.errors import RateLimited
from domain.accounts.ports import Quota, Tally

_NO_ADDRESS = "-"

Headers = tuple[tuple[bytes, bytes], ...]


async def count(runtime: Runtime, quota: Quota, subject: str | None) -> Tally:
    """Count one request of a subject against a quota."""
    return (await runtime.rate_counters.count([(quota, subject or _NO_ADDRESS)]))[0]


def check(quota: Quota, tally: Tally) -> None:
    """Raise RateLimited for a request beyond its quota."""
    if tally.count > quota.tries:
        raise RateLimited(retry_after_seconds=max(1, tally.reset_s))


def headers(quota: Quota, tally: Tally) -> Headers:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers-10."""
    remaining = max(0, quota.tries - tally.count)
    return (
        (b"ratelimit-policy", f'"{quota.name}";q={quota.tries};w={quota.window_s}'.encode()),
        (b"ratelimit", f'"{quota.name}";r={remaining};t={tally.reset_s}'.encode()),
    )
