"""Proofs: until when a start of a VPS is known to have run."""

import msgspec

from domain.time import Instant


class Proof(msgspec.Struct, frozen=True, gc=False):
    """One start of a VPS ran from its first login to ``proven_until``, all the time."""

    generation: int
    start_id: str
    cpu_ns: int
    """CPU time used when it was last shown to run."""
    proven_until: Instant
