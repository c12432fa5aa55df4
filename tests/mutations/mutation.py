"""One mutation: what is taken out of the source, and the tests that must notice."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """One protection as it stands in the source, what is left without it, and who notices."""

    name: str
    path: str
    old: str
    """Stands there once."""
    new: str
    test: str
    """Arguments for pytest."""
