"""Rate limits on the wire: the header fields that tell of a quota."""

from domain.accounts.ports import Quota, Tally

Headers = tuple[tuple[bytes, bytes], ...]


def quota_headers(quota: Quota, tally: Tally) -> Headers:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers-10."""
    remaining = max(0, quota.tries - tally.count)
    return (
        (b"ratelimit-policy", f'"{quota.name}";q={quota.tries};w={quota.window_s}'.encode()),
        (b"ratelimit", f'"{quota.name}";r={remaining};t={tally.reset_s}'.encode()),
    )
