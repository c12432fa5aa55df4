"""Alerts: who is to be told of what, and which mail waits to be sent; addresses are not looked at."""

from collections.abc import Sequence
from typing import get_args
from uuid import UUID

import msgspec

from domain.alerts.alerts import KINDS
from domain.alerts.codes import CodeKind
from domain.alerts.events import (
    AddressGiven,
    AlertRaised,
    AlertsEnded,
    AlertsSwitchedOff,
    CodeRequested,
    EmailVerificationRequested,
    MailFailed,
    MailGivenUp,
    MailSent,
    PasswordResetRequested,
    VerificationRequested,
)
from domain.alerts.following import FOLLOWED, Due, Happened, Watch, told_of, watched
from domain.compute.events import VpsStopRequested
from domain.events import Event
from domain.ids import AccountId, VpsId
from domain.money import MicroUsd
from domain.time import Instant
from projections.read_model import Connection, Entry, ReadModel, columns_of
from projections.reading import ReadModels

_SQL = """
CREATE TABLE alert_watch (
    account_id uuid PRIMARY KEY,
    balance bigint NOT NULL,
    thresholds text NOT NULL,
    verified boolean NOT NULL
) WITH (fillfactor = 70);
CREATE TABLE alert_due (
    position bigint NOT NULL,
    kind text NOT NULL,
    account_id uuid NOT NULL,
    told text NOT NULL,
    PRIMARY KEY (position, kind)
);
CREATE INDEX alert_due_of_account ON alert_due (account_id, position);
CREATE TABLE mail_due (
    notice_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    kind text NOT NULL,
    due_at bigint NOT NULL
);
CREATE INDEX mail_due_next ON mail_due (due_at);
CREATE INDEX mail_due_of_account ON mail_due (account_id);
"""
_READ_WATCHES = "SELECT account_id, balance, thresholds, verified FROM alert_watch WHERE account_id = ANY(%b::uuid[])"
_WRITE_WATCHES = """
    INSERT INTO alert_watch (account_id, balance, thresholds, verified)
    SELECT * FROM unnest(%b::uuid[], %b::bigint[], %b::text[], %b::boolean[])
    ON CONFLICT (account_id) DO UPDATE
    SET balance = excluded.balance, thresholds = excluded.thresholds, verified = excluded.verified
"""
_CLEAR_DUE = """
    DELETE FROM alert_due USING unnest(%b::uuid[], %b::bigint[]) AS told (account_id, until)
    WHERE alert_due.account_id = told.account_id AND alert_due.position <= told.until
"""
_ADD_DUE = """
    INSERT INTO alert_due (position, kind, account_id, told)
    SELECT * FROM unnest(%b::bigint[], %b::text[], %b::uuid[], %b::text[])
"""
_READ_MAILS = "SELECT notice_id, account_id, kind, due_at FROM mail_due WHERE account_id = ANY(%b::uuid[])"
_REMOVE_MAILS = "DELETE FROM mail_due WHERE account_id = ANY(%b::uuid[])"
_ADD_MAILS = """
    INSERT INTO mail_due (notice_id, account_id, kind, due_at)
    SELECT * FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::bigint[])
"""
_DUE_ACCOUNTS = "SELECT DISTINCT account_id FROM alert_due WHERE account_id > %s ORDER BY account_id LIMIT %s"
_DUE = "SELECT told FROM alert_due WHERE account_id = %s ORDER BY position, kind LIMIT %s"
_MAILS = """
    SELECT account_id, notice_id FROM mail_due WHERE due_at <= %s AND notice_id > %s ORDER BY notice_id LIMIT %s
"""
_WAITING = "SELECT count(*) FROM mail_due"
_BEFORE_ALL = UUID(int=0)

_to_json = msgspec.json.Encoder()
_from_json = msgspec.json.Decoder(Due)

_FOLLOWED: tuple[type[Event], ...] = (*FOLLOWED, AlertRaised)
_Ending = AddressGiven | AlertsSwitchedOff | AlertsEnded
"""After these, nothing that was to be told before is told any more."""
_Mailing = _Ending | CodeRequested | AlertRaised | MailSent | MailFailed | MailGivenUp


class _MailDue(msgspec.Struct):
    account_id: AccountId
    kind: str
    due_at: Instant


class TabledAlertWork:
    """Implements ``domain.alerts.ports.AlertWork`` by this read model."""

    def __init__(self, read_models: ReadModels) -> None:
        self._read_models = read_models

    async def due_accounts(self, after: AccountId | None, limit: int) -> list[AccountId]:
        """Return accounts that something is to be told to; see ``AlertWork.due_accounts``."""
        async with self._read_models.at(0, ALERTS) as connection:
            cursor = await connection.execute(_DUE_ACCOUNTS, [after or _BEFORE_ALL, limit])
            return [AccountId(account_id) for (account_id,) in await cursor.fetchall()]

    async def due_alerts(self, account_id: AccountId, limit: int) -> list[Due]:
        """Return what an account is to be told and was not raised yet; see ``AlertWork.due_alerts``."""
        async with self._read_models.at(0, ALERTS) as connection:
            cursor = await connection.execute(_DUE, [account_id, limit])
            return [_from_json.decode(told) for (told,) in await cursor.fetchall()]

    async def due_mails(self, now: Instant, after: UUID | None, limit: int) -> list[tuple[AccountId, UUID]]:
        """Return account and notice of mails that are to be tried by ``now``; see ``AlertWork.due_mails``."""
        async with self._read_models.at(0, ALERTS) as connection:
            cursor = await connection.execute(_MAILS, [now, after or _BEFORE_ALL, limit])
            return [(AccountId(account_id), notice_id) for account_id, notice_id in await cursor.fetchall()]

    async def waiting_mails(self) -> int:
        """Return how many mails are not sent yet."""
        async with self._read_models.at(0, ALERTS) as connection:
            row = await (await connection.execute(_WAITING)).fetchone()
            assert row is not None
            return int(row[0])


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    await _follow(connection, [entry for entry in batch if isinstance(entry.event, _FOLLOWED)])
    await _follow_mail(connection, [entry.event for entry in batch if isinstance(entry.event, _Mailing)])


async def _follow(connection: Connection, batch: Sequence[Entry]) -> None:
    if not batch:
        return
    owners = [_owner(entry) for entry in batch]
    cursor = await connection.execute(_READ_WATCHES, [list({owner for owner in owners if owner is not None})])
    watches = {
        AccountId(account_id): Watch(MicroUsd(balance), _thresholds(thresholds), verified)
        for account_id, balance, thresholds, verified in await cursor.fetchall()
    }
    due: dict[AccountId, list[Due]] = {}
    told_until: dict[AccountId, int] = {}
    for entry, owner in zip(batch, owners, strict=True):
        if owner is None:
            continue
        before = watches.get(owner, Watch())
        watches[owner] = after = watched(before, entry.event)
        if after.verified:
            due.setdefault(owner, []).extend(told_of(before, after, _happened(entry, owner)))
        if (until := _told_until(entry)) is not None:
            told_until[owner] = until
            due[owner] = [one for one in due.get(owner, []) if one.position > until]
    await connection.execute(_WRITE_WATCHES, columns_of(_row(owner, watch) for owner, watch in watches.items()))
    if told_until:
        await connection.execute(_CLEAR_DUE, columns_of(told_until.items()))
    if rows := [_due_row(one) for told in due.values() for one in told]:
        await connection.execute(_ADD_DUE, columns_of(rows))


async def _follow_mail(connection: Connection, events: Sequence[_Mailing]) -> None:
    if not events:
        return
    touched = list({event.account_id for event in events})
    cursor = await connection.execute(_READ_MAILS, [touched])
    mails = {row[0]: _MailDue(*row[1:]) for row in await cursor.fetchall()}
    for event in events:
        _follow_one_mail(mails, event)
    await connection.execute(_REMOVE_MAILS, [touched])
    if mails:
        await connection.execute(
            _ADD_MAILS, columns_of((id_, one.account_id, one.kind, one.due_at) for id_, one in mails.items())
        )


def _follow_one_mail(mails: dict[UUID, _MailDue], event: _Mailing) -> None:
    owner = event.account_id
    match event:
        case AddressGiven() | AlertsSwitchedOff():
            _remove(mails, owner, "alert", "verification")
        case AlertsEnded():
            _remove(mails, owner, "alert", *get_args(CodeKind))
        case VerificationRequested() | EmailVerificationRequested():
            _replace(mails, event, event.verification_id)
        case PasswordResetRequested():
            _replace(mails, event, event.reset_id)
        case AlertRaised():
            mails.setdefault(event.notice_id, _MailDue(owner, "alert", event.happened_at))
        case MailFailed():
            mails[event.notice_id].due_at = event.retry_at
        case MailSent() | MailGivenUp():
            mails.pop(event.notice_id, None)


def _replace(mails: dict[UUID, _MailDue], event: CodeRequested, code_id: UUID) -> None:
    kind = KINDS[type(event)]
    _remove(mails, event.account_id, kind)
    mails[code_id] = _MailDue(event.account_id, kind, event.requested_at)


def _remove(mails: dict[UUID, _MailDue], owner: AccountId, *kinds: str) -> None:
    for id_ in [id_ for id_, mail in mails.items() if mail.account_id == owner and mail.kind in kinds]:
        del mails[id_]


def _owner(entry: Entry) -> AccountId | None:
    owner: AccountId | None = getattr(entry.event, "account_id", None)
    return entry.metadata.account_id if owner is None else owner


def _told_until(entry: Entry) -> int | None:
    """Return up to which position nothing is to be told any more, where an event says so."""
    match entry.event:
        case AlertRaised(cause_position=cause_position):
            return cause_position
        case AddressGiven() | AlertsSwitchedOff() | AlertsEnded():
            return entry.recorded.position
        case _:
            return None


def _happened(entry: Entry, owner: AccountId) -> Happened:
    recorded = entry.recorded
    vps_id = VpsId(recorded.stream) if isinstance(entry.event, VpsStopRequested) else None
    return Happened(entry.event, entry.metadata.id, owner, recorded.position, recorded.happened_at, vps_id)


def _thresholds(text: str) -> tuple[MicroUsd, ...]:
    return tuple(MicroUsd(int(micros)) for micros in text.split())


def _row(owner: AccountId, watch: Watch) -> tuple[object, ...]:
    return owner, watch.balance, " ".join(map(str, watch.thresholds)), watch.verified


def _due_row(due: Due) -> tuple[object, ...]:
    return due.position, due.kind, due.account_id, _to_json.encode(due).decode()


ALERTS = ReadModel(
    name="alerts",
    tables=("alert_watch", "alert_due", "mail_due"),
    sql=_SQL,
    events=(*FOLLOWED, *get_args(CodeRequested), AlertRaised, MailSent, MailFailed, MailGivenUp),
    apply=_apply,
    keeps=(Due,),
    fold_version=4,
)
