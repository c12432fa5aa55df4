"""Ledgers made up or forged for an audit: events as they would have been recorded, hashes and claims left out."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

import msgspec

from api.application.audit.findings import Check
from api.application.audit.semantics import SemanticChecks
from domain.accounts.account import EMAIL_CLAIM
from domain.events import Actor, Event, Metadata, personal_fields, stored_name
from domain.evidence import Evidence
from domain.ids import AccountId, EventId, PaymentId, StreamId, wallet_stream
from domain.money import MicroUsd
from domain.payments.events import PaymentReceived
from domain.ports import Recorded
from domain.sealed import header_of
from domain.statements.events import StatementIssued
from domain.statements.month import Month
from domain.statements.tax import TaxLine
from domain.time import MINUTE, Instant
from domain.wallet.events import (
    FundsAdded,
    FundsReturned,
    FundsTaken,
    MinuteLine,
    MinutesMetered,
    TakenCause,
    WalletOpened,
)
from tests.domain.wallet.wallets import ACCOUNT, SMALL, WEB

NOVEMBER = Month(2026, 11)
FIRST = Instant(NOVEMBER.begins + 1_000)
PAYMENT = PaymentId(UUID(int=41))
OTHER = AccountId(UUID(int=2))


def micros(amount: int) -> MicroUsd:
    return MicroUsd(amount)


def event_id(position: int) -> EventId:
    """Return the id of the event at a position."""
    return EventId(UUID(int=position))


def recorded(events: Iterable[Event | tuple[Instant, Event]]) -> list[Recorded]:
    """Return events as they would be recorded, a microsecond after each other unless told when."""
    made: list[Recorded] = []
    versions: defaultdict[StreamId, int] = defaultdict(int)
    at = FIRST
    for position, told in enumerate(events, start=1):
        at, event = told if isinstance(told, tuple) else (Instant(at + 1), told)
        stream = wallet_stream(getattr(event, "account_id", ACCOUNT))
        versions[stream] += 1
        account_id = AccountId(getattr(event, "account_id", None) or ACCOUNT)
        metadata = Metadata(event_id(position), Actor("service", part="test"), account_id)
        personal = [name for name in personal_fields(type(event)) if getattr(event, name) is not None]
        sealed = {name: f"{header_of(account_id, metadata.id, name)}.text" for name in personal}
        event = msgspec.structs.replace(event, **sealed)
        payload, beside = (msgspec.json.encode(one).decode() for one in (event, metadata))
        name = stored_name(type(event))
        made.append(Recorded(position, stream, versions[stream], name, payload, beside, at, at, bytes(32)))
    return made


def audited(*events: Event | tuple[Instant, Event], address_holders: tuple[UUID, ...] = ()) -> dict[str, list[str]]:
    """Return what an audit finds wrong with what these events say, by promise."""
    checks = checks_of(*events, address_holders=address_holders)
    return {check.promise: check.findings for check in checks if check.faults}


def checks_of(*events: Event | tuple[Instant, Event], address_holders: tuple[UUID, ...] = ()) -> tuple[Check, ...]:
    """Return what an audit of these events comes to; ``address_holders``: one entry for each address that is held."""
    checks, batch = SemanticChecks(), recorded(events)
    checks.visit(batch)
    if checks.corrections.are_open:
        checks.corrections.visit_again(batch)
    minute_heads = {
        line.vps_id: line.n_to for event in events if isinstance(event, MinutesMetered) for line in event.lines
    }
    checks.finish(Evidence(len(batch), FIRST, {}, minute_heads, {EMAIL_CLAIM: address_holders}, (), {}))
    return checks.checks


def opened() -> WalletOpened:
    return WalletOpened(AccountId(ACCOUNT))


def received(amount: int = 10_000) -> tuple[PaymentReceived, FundsAdded]:
    """Return a payment that was received and added."""
    return (
        PaymentReceived(
            account_id=AccountId(ACCOUNT),
            payment_id=PAYMENT,
            session_id="cs_1",
            payment_intent_id="pi_1",
            charge_id="ch_1",
            amount=micros(amount),
        ),
        FundsAdded(AccountId(ACCOUNT), PAYMENT, micros(amount)),
    )


def taken(amount: int, owed: int = 0, absorbed: int = 0, key: str = "dp_1") -> FundsTaken:
    """Return what a dispute takes, or a refund where the key is one's."""
    cause: TakenCause = "refund" if key.startswith("re_") else "dispute"
    return FundsTaken(AccountId(ACCOUNT), PAYMENT, cause, key, micros(amount), micros(owed), micros(absorbed))


def returned(amount: int, absorbed: int = 0, key: str = "dp_1") -> FundsReturned:
    return FundsReturned(AccountId(ACCOUNT), PAYMENT, "dispute-won", key, micros(amount), micros(absorbed))


def minute(n: int) -> MinutesMetered:
    line = MinuteLine(WEB, n, n, Instant((n - 1) * MINUTE), SMALL, 1, micros(4_200), micros(70))
    return MinutesMetered(AccountId(ACCOUNT), (line,))


def issued(number: str, opening: int, closing: int, charges: int, month: Month = NOVEMBER) -> StatementIssued:
    tax = TaxLine("VAT", 19_000, micros((charges * 19 * 2 + 119) // (2 * 119)))
    return StatementIssued(
        AccountId(ACCOUNT), str(month), number, "ACME", micros(opening), micros(closing), micros(charges), (tax,), 1
    )
