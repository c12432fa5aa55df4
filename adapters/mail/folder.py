"""A folder that mail is put into, a file each, for development."""

import asyncio
import os
import tempfile
from collections.abc import Collection
from contextlib import suppress
from email.parser import BytesHeaderParser
from email.policy import SMTP
from pathlib import Path

from adapters.mail.message import message_of
from domain.alerts.ports import Mail, MailUnavailable
from domain.ids import AccountId, TokenId
from domain.ports import Clock
from domain.time import to_datetime

SENDER = "litevps@localhost.localdomain"


class FolderMailer:
    """Implements ``domain.alerts.ports.Mailer``: files named by time and kind, each there wholly or not at all."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    async def send(self, mail: Mail) -> None:
        """Write a mail. Raises MailUnavailable, MailRefused."""
        now = self._clock.now()
        content = message_of(mail, SENDER, now).as_bytes()
        sent_at = to_datetime(now).strftime("%Y%m%dT%H%M%S.%fZ")
        try:
            await asyncio.to_thread(self._write, f"{sent_at}-{mail.kind}", content)
        except OSError as error:
            raise MailUnavailable(str(error)) from error

    async def forget(self, account_id: AccountId, emails: Collection[str], token_ids: Collection[TokenId]) -> None:  # noqa: ARG002
        """Delete every mail to one of these addresses; see ``Leftovers.forget``."""
        await asyncio.to_thread(self._delete_to, frozenset(emails))

    def _delete_to(self, emails: Collection[str]) -> None:
        # What was being written when the service died may be to anybody; it is no mail yet, and never will be.
        for file in (*self._folder.glob("*.eml"), *self._folder.glob(".*.unfinished")):
            with file.open("rb") as opened:
                to = BytesHeaderParser(policy=SMTP).parse(opened)["To"]
            addresses = () if to is None else to.addresses
            if file.suffix != ".eml" or any(one.addr_spec.lower() in emails for one in addresses):
                file.unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".unfinished")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            for number in range(1000):
                target = self._folder / (f"{name}.eml" if not number else f"{name}-{number}.eml")
                # A link, unlike a rename, takes the place of no other mail.
                with suppress(FileExistsError):
                    os.link(unfinished, target)
                    return
            raise FileExistsError(f"too many mails at one instant: {name}")
        finally:
            Path(unfinished).unlink(missing_ok=True)
