"""Where statements are drawn from: read models of the database, or a store in memory."""

from collections.abc import Collection
from typing import Protocol

import msgspec

from domain.ids import AccountId, VpsId
from domain.statements.month import Month
from domain.statements.statement import Statement
from projections.statements import Issued


class ComputedStatement(msgspec.Struct, frozen=True):
    """A statement as the events have it now."""

    statement: Statement
    until: int
    """Up to which position it was looked."""
    issued: Issued | None
    """As it was issued; None where it has no number yet."""


class StatementSource(Protocol):
    """What statements are drawn from. All raise ProjectionBehind."""

    async def compute(self, account_id: AccountId, month: Month) -> ComputedStatement | None:
        """Return the statement of a month, reasons unsealed; None where there was no wallet by its end."""
        ...

    async def issued(self, account_id: AccountId) -> list[Issued]:
        """Return the statements that have a number, the newest month first."""
        ...

    async def due(
        self, before: Month, after: tuple[AccountId, Month] | None, limit: int
    ) -> list[tuple[AccountId, Month]]:
        """Return accounts and earlier months in which something moved, and whose statement has no number yet.

        By months, then accounts, past ``after``.
        """
        ...

    async def names(self, account_id: AccountId, vps_ids: Collection[VpsId], month: Month) -> dict[VpsId, str]:
        """Return the names that VPSs of an account had last in a month, those among them that are gone as well.

        What a VPS is called later changes no statement of the time before.
        """
        ...
