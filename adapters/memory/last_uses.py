"""When tokens were last used, in the memory of one process."""

from collections.abc import Collection, Mapping

from domain.ids import TokenId
from domain.time import Instant


class MemoryLastUses:
    """Implements ``domain.tokens.ports.LastUses``."""

    def __init__(self) -> None:
        self._used: dict[TokenId, Instant] = {}

    async def note(self, token_id: TokenId, at: Instant) -> None:
        """Keep that a token was used; see ``LastUses.note``."""
        self._used[token_id] = max(at, self._used.get(token_id, at))

    async def of(self, token_ids: Collection[TokenId]) -> Mapping[TokenId, Instant]:
        """Return when these tokens were last used; see ``LastUses.of``."""
        return {token_id: self._used[token_id] for token_id in token_ids if token_id in self._used}
