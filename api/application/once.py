"""Once: how a use case has its outcome kept, so that a command that is sent again is not carried out again."""

from typing import Protocol, TypeVar
from uuid import UUID

from domain.ports import Claim
from domain.time import HOUR, Instant

KEPT_FOR = 24 * HOUR
"""How long an outcome is kept for whoever sends a command again."""

R_contra = TypeVar("R_contra", contravariant=True)


class Once(Protocol[R_contra]):
    """What keeps the outcome of a command, if its sender may send it again."""

    def claims(self, result: R_contra, now: Instant) -> tuple[Claim, ...]:
        """Return the claims that keep what a command came to; they go into the append of its events.

        Asked at each attempt, before anything is recorded. No claims: nothing is to be kept.
        """
        ...


class OnceBegun(Protocol):
    """What keeps which thing a command began, where a repetition goes on with that rather than is told the same."""

    async def begun(self) -> UUID | None:
        """Return what the same command began before; None where it is the first. Raises the sender's refusal."""
        ...

    async def claims(self, thing: UUID) -> tuple[Claim, ...]:
        """Return the claims that keep what the command begins; they go into the append that begins it."""
        ...

    def releases(self) -> tuple[tuple[str, bytes], ...]:
        """Return what frees the command, so that it can begin another thing, where it was kept before."""
        ...


class Unkept:
    """Keeps nothing: each command begins a thing of its own."""

    async def begun(self) -> UUID | None:
        """Return None."""
        return None

    async def claims(self, _thing: UUID) -> tuple[Claim, ...]:
        """Return none."""
        return ()

    def releases(self) -> tuple[tuple[str, bytes], ...]:
        """Return none."""
        return ()
