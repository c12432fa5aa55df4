"""What is recorded of settings, the ledger's own name among them."""

from domain.events import Event
from domain.ids import LedgerId


class SettingChanged(Event, frozen=True, tag="settings.setting-changed.v1"):
    """A setting has another value, as JSON."""

    name: str
    value: str


class LedgerFounded(Event, frozen=True, tag="settings.ledger-founded.v1"):
    """The ledger has a name of its own, by which what is made for it is known again."""

    ledger_id: LedgerId
