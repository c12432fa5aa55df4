"""Accepting: which of the types that are offered a client likes best (RFC 9110, 12.5.1)."""

from collections.abc import Sequence

from api.http.pipeline.errors import NotAcceptable

RANGES_MAX = 32
"""How many media ranges of one header are looked at."""
_PROBLEM, _JSON = "application/problem+json", "application/json"


def preferred(accept: bytes | None, offered: Sequence[str]) -> str:
    """Return the type that is accepted best; of those accepted alike, the one that is offered first.

    Raises NotAcceptable. A client that wants errors as problems is taken to accept JSON.
    """
    if not (accept or b"").strip():
        return offered[0]
    ranges = [_range(part) for part in (accept or b"").decode("latin-1").lower().split(",")[:RANGES_MAX]]
    best = max(offered, key=lambda kind: _quality(kind, ranges))
    if not _quality(best, ranges):
        raise NotAcceptable(offered=", ".join(offered))
    return best


def _range(text: str) -> tuple[str, int]:
    """Return a media range and its quality in thousandths; one that cannot be read is taken for the best."""
    kind, *parameters = (part.strip() for part in text.split(";"))
    quality = next((value.strip() for name, _, value in (p.partition("=") for p in parameters) if name == "q"), "1")
    whole, _, decimals = quality.partition(".")
    if whole not in ("0", "1") or not (decimals.isdigit() or not decimals) or not decimals.isascii():
        quality_thousandths = 1000
    else:
        quality_thousandths = min(1000, int(whole) * 1000 + int(decimals[:3].ljust(3, "0")))
    return (_JSON if kind == _PROBLEM else kind), quality_thousandths


def _quality(kind: str, ranges: Sequence[tuple[str, int]]) -> int:
    """Return how well a type is accepted: the range that fits it most closely says so."""
    for fitting in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        found = [quality for accepted, quality in ranges if accepted == fitting]
        if found:
            return max(found)
    return 0
