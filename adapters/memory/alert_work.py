"""Alerts to raise and mail to send, found by folding the feed in memory: what a read model does elsewhere."""

from uuid import UUID

from domain.alerts.alerts import FOLD, Alerts
from domain.alerts.following import FOLLOWED, Due, Happened, Watch, follow
from domain.codec import decode, decode_metadata
from domain.ids import AccountId, VpsId, alerts_stream
from domain.ports import EventStore, Recorded
from domain.time import Instant

_BATCH = 10_000


class MemoryAlertWork:
    """Implements ``domain.alerts.ports.AlertWork``."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._position = 0
        self._watches: dict[AccountId, Watch] = {}
        self._due: list[Due] = []
        self._alerts: dict[AccountId, Alerts] = {}
        self._given_at: dict[AccountId, int] = {}

    async def due_accounts(self, after: AccountId | None, limit: int) -> list[AccountId]:
        """Return accounts that something is to be told to; see ``AlertWork.due_accounts``."""
        due = {due.account_id for due in await self._open()}
        return sorted(account_id for account_id in due if after is None or account_id > after)[:limit]

    async def due_alerts(self, account_id: AccountId, limit: int) -> list[Due]:
        """Return what an account is to be told and was not raised yet; see ``AlertWork.due_alerts``."""
        return [due for due in await self._open() if due.account_id == account_id][:limit]

    async def due_mails(self, now: Instant, after: UUID | None, limit: int) -> list[tuple[AccountId, UUID]]:
        """Return account and notice of mails that are to be tried by ``now``; see ``AlertWork.due_mails``."""
        await self._catch_up()
        waiting = sorted(
            (notice.id, account_id)
            for account_id, alerts in self._alerts.items()
            for notice in alerts.notices.values()
            if notice.due_at <= now and (after is None or notice.id > after)
        )
        return [(account_id, notice_id) for notice_id, account_id in waiting[:limit]]

    async def waiting_mails(self) -> int:
        """Return how many mails are not sent yet."""
        await self._catch_up()
        return sum(len(alerts.notices) for alerts in self._alerts.values())

    async def _open(self) -> list[Due]:
        await self._catch_up()
        self._due = [due for due in self._due if self._is_open(due)]
        return self._due

    def _is_open(self, due: Due) -> bool:
        alerts = self._alerts[due.account_id]
        return alerts.verified and due.position > max(alerts.raised_until, self._given_at.get(due.account_id, 0))

    async def _catch_up(self) -> None:
        while batch := await self._store.read_feed(self._position, _BATCH):
            for recorded in batch:
                if recorded.position > self._position:  # Two may have read the same.
                    self._follow(recorded)
                    self._position = recorded.position

    def _follow(self, recorded: Recorded) -> None:
        event, metadata = decode(recorded), decode_metadata(recorded)
        owner = metadata.account_id
        if owner is None:
            return
        if recorded.stream == alerts_stream(owner):
            self._alerts[owner] = FOLD.evolve(self._alerts.get(owner, FOLD.initial), event)
            if recorded.type == "alerts.address-given.v1":
                self._given_at[owner] = recorded.position
        if isinstance(event, FOLLOWED):
            vps_id = VpsId(recorded.stream) if recorded.type.startswith("compute.vps-") else None
            happened = Happened(event, metadata.id, owner, recorded.position, recorded.happened_at, vps_id)
            self._watches[owner], due = follow(self._watches.get(owner, Watch()), happened)
            self._due.extend(due)
