"""Ports of alerts: who hands mail over, and where to look for what is to be told and sent."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from domain.alerts.following import Due
from domain.ids import AccountId
from domain.time import Instant


class Mail(msgspec.Struct, frozen=True):
    """A mail to one address."""

    to: str
    subject: str
    text: str
    message_id: str
    """Without angle brackets. It follows from the notice, so that one sent again after a crash is recognised."""
    kind: str
    """What it tells of, in lower case with hyphens, for whoever sorts mail."""


class MailUnavailable(Exception):
    """The mail server does not answer, or not now; it is worth trying again."""


class MailRefused(Exception):
    """This mail will never be taken; trying again changes nothing."""


class Mailer(Protocol):
    """Whoever hands mail over."""

    async def send(self, mail: Mail) -> None:
        """Hand a mail over. Raises MailUnavailable, MailRefused."""
        ...


class AlertWork(Protocol):
    """What a read model knows of alerts to raise and mail to send. It may be a moment behind."""

    async def due_accounts(self, after: AccountId | None, limit: int) -> Sequence[AccountId]:
        """Return accounts that something is to be told to, in the order of ids, past ``after``."""
        ...

    async def due_alerts(self, account_id: AccountId, limit: int) -> Sequence[Due]:
        """Return what an account is to be told and was not raised yet, in the order in which it happened."""
        ...

    async def due_mails(self, now: Instant, after: UUID | None, limit: int) -> Sequence[tuple[AccountId, UUID]]:
        """Return account and notice of mails that are to be tried by ``now``, in the order of notices, past ``after``.

        By their ids, that is the order in which they were raised.
        """
        ...

    async def waiting_mails(self) -> int:
        """Return how many mails are not sent yet."""
        ...
