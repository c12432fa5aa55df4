"""Labels: what an owner sorts VPSs by."""

from collections.abc import Mapping

LABELS_MAX = 32
"""How many one VPS can have."""
LABEL_CHARACTERS_MAX = 63
"""Of a key, and of a value."""


def wrong_labels(labels: Mapping[str, str]) -> str | None:
    """Return why labels cannot be a VPS's; None where each is found again by ``key`` and by ``key=value``."""
    if len(labels) > LABELS_MAX:
        return f"must be at most {LABELS_MAX}"
    for key, value in labels.items():
        if not key or key != key.strip():
            return "must have keys that are not empty, with no space at either end"
        if "=" in key:
            return "must have keys without `=`, which parts key and value where labels are asked for"
        if max(len(key), len(value)) > LABEL_CHARACTERS_MAX:
            return f"must have keys and values of at most {LABEL_CHARACTERS_MAX} characters"
        if not key.isprintable() or not value.isprintable():
            return "must have no control characters"
    return None
