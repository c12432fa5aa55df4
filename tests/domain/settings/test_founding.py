"""The ledger has one name, and keeps it."""

from uuid import UUID

from domain.ids import LedgerId
from domain.settings.events import LedgerFounded
from domain.settings.founding import evolve, found

FIRST, SECOND = LedgerId(UUID(int=1)), LedgerId(UUID(int=2))


def test_a_ledger_without_a_name_is_given_one() -> None:
    assert found(None, FIRST) == (LedgerFounded(FIRST),)
    assert evolve(None, LedgerFounded(FIRST)) == FIRST


def test_a_ledger_that_has_a_name_keeps_it() -> None:
    assert found(FIRST, SECOND) == ()
