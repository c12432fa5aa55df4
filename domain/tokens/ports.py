"""Ports of access tokens: where their secrets come from, when they were last used."""

from collections.abc import Collection, Mapping
from typing import Protocol

from domain.ids import TokenId
from domain.time import Instant


class TokenSecrets(Protocol):
    """Where new secrets come from."""

    def new(self) -> str:
        """Return a new secret: ``vtk_``, 256 random bits, and a mark that shows it to be ours."""
        ...

    def is_marked(self, secret: str) -> bool:
        """Tell whether a secret shows itself to be ours. Older ones do not, and are good all the same."""
        ...


class LastUses(Protocol):
    """When each token was last used. No event, and not to be rebuilt; losing it all changes nothing else."""

    async def note(self, token_id: TokenId, at: Instant) -> None:
        """Keep that a token was used, unless a later use is known."""
        ...

    async def of(self, token_ids: Collection[TokenId]) -> Mapping[TokenId, Instant]:
        """Return when these tokens were last used; those that never were are left out."""
        ...
