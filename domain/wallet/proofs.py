"""Proofs: until when a start of a VPS is known to have run, from what its host showed."""

import msgspec

from domain.compute.events import VpsRunning
from domain.compute.ports import GuestSeen
from domain.time import Instant


class Proof(msgspec.Struct, frozen=True):
    """One start of a VPS ran from its first login to ``proven_until``, all the time."""

    generation: int
    start_id: str
    cpu_ns: int
    """CPU time used when it was last shown to run."""
    proven_until: Instant


def proof_of_login(running: VpsRunning) -> Proof:
    """Return what the first login after a start proves: the instant itself, no more."""
    return Proof(
        generation=running.generation,
        start_id=running.start_id,
        cpu_ns=running.cpu_ns,
        proven_until=running.at,
    )


def extended(proof: Proof, seen: GuestSeen, collected_at: Instant) -> Proof:
    """Return the proof with an observation added.

    Two observations of one start of a guest (one boot of the host, one start in it), its CPU time not
    lower, prove the time between them. Anything else proves nothing: another generation or start, a guest
    that is off, CPU time that fell, an observation collected before the last that counted.
    """
    same_start = seen.generation == proof.generation and seen.start_id == proof.start_id
    later = collected_at > proof.proven_until and seen.cpu_ns >= proof.cpu_ns
    if not (same_start and seen.running and later):
        return proof
    return msgspec.structs.replace(proof, cpu_ns=seen.cpu_ns, proven_until=collected_at)
