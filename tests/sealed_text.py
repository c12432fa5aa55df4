"""Opening sealed text in tests, wherever it says that it belongs."""

from uuid import UUID

from domain.ids import AccountId, EventId
from domain.ports import Sealer


def opened(sealer: Sealer, sealed: str) -> str:
    """Return what was sealed, for whichever account, event and field."""
    _, account_id, event_id, field, _ = sealed.split(".")
    return sealer.unseal(AccountId(UUID(account_id)), EventId(UUID(event_id)), field, sealed)
