"""Once: how a use case has its outcome kept, so that a command that is sent again is not carried out again."""

from typing import Protocol, TypeVar

from domain.ports import Claim
from domain.time import Instant

R_contra = TypeVar("R_contra", contravariant=True)


class Once(Protocol[R_contra]):
    """What keeps the outcome of a command, if its sender may send it again."""

    def claims(self, result: R_contra, now: Instant) -> tuple[Claim, ...]:
        """Return the claims that keep what a command came to; they go into the append of its events.

        Asked at each attempt, before anything is recorded. No claims: nothing is to be kept.
        """
        ...
