"""What is to be told and sent."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import msgspec
import pytest

from domain.accounts.events import AccountClosed, ClosingFinished
from domain.accounts.ports import OpenClosings
from domain.alerts.events import (
    AddressGiven,
    AddressVerified,
    AlertRaised,
    AlertsEnded,
    AlertsSwitchedOff,
    MailFailed,
    MailGivenUp,
    MailSent,
    PasswordResetRequested,
    ThresholdsSet,
    VerificationRequested,
)
from domain.alerts.following import Due
from domain.alerts.ports import AlertWork
from domain.compute.events import VpsStopRequested
from domain.events import Event
from domain.ids import (
    AccountId,
    EventId,
    PaymentId,
    account_stream,
    alerts_stream,
    payment_stream,
    vps_stream,
    wallet_stream,
)
from domain.money import MicroUsd
from domain.payments.events import DisputeOpened
from domain.time import Instant
from domain.wallet.events import FundsAdded, FundsTaken
from projections.alerts import ALERTS, TabledAlertWork
from projections.closings import CLOSINGS, TabledOpenClosings
from projections.reading import ReadModels
from tests.projections.history import History

pytestmark = pytest.mark.anyio

FIRST, SECOND = UUID(int=11), UUID(int=12)
SOON = Instant(2**62)


class Found(msgspec.Struct, frozen=True):
    """A history, and what finds in it what is left to be done."""

    history: History
    work: AlertWork
    closings: OpenClosings
    caught_up: Callable[[], Awaitable[None]]

    async def due(self) -> list[tuple[str, int]]:
        return [(one.kind, one.position) for one in await self.told()]

    async def told(self) -> list[Due]:
        """Return all that is to be told, account by account."""
        await self.caught_up()
        return [
            due for owner in await self.work.due_accounts(None, 100) for due in await self.work.due_alerts(owner, 9)
        ]

    async def mails(self, now: Instant = SOON) -> list[UUID]:
        await self.caught_up()
        return [notice_id for _, notice_id in await self.work.due_mails(now, None, 100)]

    async def tell(self, account_id: AccountId, *events: Event) -> int:
        """Record events of the account's alerts; return the last position."""
        stream = alerts_stream(account_id)
        return (await self.history.record(account_id, *((stream, event) for event in events))).last_position

    async def watched(self, micros: int = 100) -> AccountId:
        """Return an account with funds, whose address is verified."""
        account_id = await self.history.registered(micros=micros)
        await self.tell(
            account_id,
            AddressGiven(account_id, "ops@example.com"),
            ThresholdsSet(account_id, (MicroUsd(90), MicroUsd(40))),
            AddressVerified(account_id, FIRST),
        )
        return account_id


@pytest.fixture
async def found(history: History, followed: ReadModels) -> Found:
    async def caught_up() -> None:
        await followed.caught_up(await history.store.head(), ALERTS, CLOSINGS)

    return Found(history, TabledAlertWork(followed), TabledOpenClosings(followed), caught_up)


def raised(account_id: AccountId, notice_id: UUID, position: int, at: int = 5) -> AlertRaised:
    return AlertRaised(account_id, notice_id, "low-balance", EventId(uuid4()), position, Instant(at))


async def test_a_crossing_is_found_once_and_gone_once_it_is_raised(found: Found) -> None:
    ada = await found.watched(micros=100)
    vps_id = await found.history.vps_requested(ada)
    await found.history.vps_running(ada, vps_id)
    await found.history.minutes_metered(ada, vps_id, 1, 1)  # 70 micro-USD
    (crossing,) = await found.due()
    assert crossing[0] == "low-balance"
    assert await found.due() == [crossing]
    (due,) = await found.work.due_alerts(ada, 1)
    assert (due.account_id, due.threshold, due.balance) == (ada, 40, 30)

    await found.tell(ada, raised(ada, SECOND, crossing[1]))

    assert await found.due() == []


async def test_a_stop_is_found_for_its_account_whose_mails_nobody_else_gets(found: Found) -> None:
    ada, bob = await found.watched(), await found.history.registered()
    for owner in (ada, bob):
        vps_id = await found.history.vps_requested(owner)
        stop = VpsStopRequested("unpaid", 1, found.history.clock.now())
        await found.history.record(owner, (vps_stream(vps_id), stop))

    (due,) = await found.told()
    assert (due.kind, due.account_id) == ("vps-unpaid", ada)
    assert due.vps_id is not None


async def test_what_a_dispute_takes_is_told_in_one_order_with_the_balance_that_it_leaves(found: Found) -> None:
    ada, payment_id = await found.watched(micros=100), PaymentId(UUID(int=1))
    dispute = DisputeOpened(ada, payment_id, "du_1", MicroUsd(120), MicroUsd(20), MicroUsd(0), inquiry=False)
    taken = FundsTaken(ada, payment_id, "dispute", "du_1", MicroUsd(100), MicroUsd(20), MicroUsd(0))
    await found.history.record(ada, (payment_stream(payment_id), dispute), (wallet_stream(ada), taken))

    due = await found.told()

    assert [(one.kind, one.balance, one.amount) for one in due] == [
        ("account-frozen", 0, 20),
        ("dispute-opened", 0, 120),
        ("low-balance", 0, None),
    ]


async def test_accounts_that_something_is_to_be_told_to_are_found_a_page_at_a_time(found: Found) -> None:
    owners = [await found.watched() for _ in range(3)]
    for owner in owners * 2:
        vps_id = await found.history.vps_requested(owner)
        stop = VpsStopRequested("unpaid", 1, found.history.clock.now())
        await found.history.record(owner, (vps_stream(vps_id), stop))
    await found.caught_up()

    first, second, third = sorted(owners)
    assert list(await found.work.due_accounts(None, 2)) == [first, second]
    assert list(await found.work.due_accounts(second, 2)) == [third]
    assert list(await found.work.due_accounts(third, 2)) == []
    told = await found.work.due_alerts(second, 9)
    assert [one.account_id for one in told] == [second] * 2
    assert [one.position for one in told] == sorted(one.position for one in told)
    assert list(await found.work.due_alerts(second, 1)) == told[:1]


@pytest.mark.parametrize("end", [AddressGiven, AlertsSwitchedOff, AlertsEnded])
async def test_nothing_is_left_for_an_address_that_is_another_or_none(found: Found, end: Callable[..., Event]) -> None:
    ada = await found.watched()
    vps_id = await found.history.vps_requested(ada)
    stop = VpsStopRequested("unpaid", 1, found.history.clock.now())
    await found.history.record(ada, (vps_stream(vps_id), stop))
    await found.tell(ada, VerificationRequested(ada, FIRST, "x", Instant(1), Instant(9)), raised(ada, SECOND, 1))
    assert len(await found.due()) == 1
    assert len(await found.mails()) == 2

    await found.tell(ada, AddressGiven(ada, "other@example.com") if end is AddressGiven else end(ada))

    assert (await found.due(), await found.mails(), await found.work.waiting_mails()) == ([], [], 0)


async def test_what_happened_before_alerts_were_switched_off_is_not_told_once_they_are_on_again(found: Found) -> None:
    ada = await found.watched()
    vps_id = await found.history.vps_requested(ada)
    stop = VpsStopRequested("unpaid", 1, found.history.clock.now())
    await found.history.record(ada, (vps_stream(vps_id), stop))
    await found.tell(ada, AlertsSwitchedOff(ada))
    await found.history.record(ada, (vps_stream(vps_id), stop))
    await found.tell(ada, AddressGiven(ada, "ops@example.com"), AddressVerified(ada, SECOND))
    assert await found.due() == []

    last = await found.history.record(ada, (vps_stream(vps_id), stop))

    assert await found.due() == [("vps-unpaid", last.last_position)]


async def test_a_mail_is_due_until_it_is_sent_or_given_up_and_waits_after_a_failure(found: Found) -> None:
    ada, third = await found.watched(), UUID(int=13)
    await found.tell(ada, raised(ada, FIRST, 1, at=7), raised(ada, SECOND, 2, at=8), raised(ada, third, 3, at=9))
    assert await found.mails() == [FIRST, SECOND, third]
    assert await found.mails(Instant(8)) == [FIRST, SECOND]
    assert await found.mails(Instant(6)) == []

    await found.tell(ada, MailFailed(ada, FIRST, 1, Instant(100), "busy"), MailSent(ada, SECOND, Instant(9)))

    assert await found.mails(Instant(99)) == [third]
    assert await found.mails(Instant(100)) == [FIRST, third]
    assert await found.work.due_mails(Instant(100), None, 1) == [(ada, FIRST)]
    assert await found.work.due_mails(Instant(100), FIRST, 9) == [(ada, third)]
    assert await found.work.due_mails(Instant(100), third, 9) == []
    assert await found.work.waiting_mails() == 2
    await found.tell(ada, MailGivenUp(ada, FIRST, "refused", "no", Instant(9)), MailSent(ada, third, Instant(9)))
    assert await found.mails() == []


async def test_another_code_takes_the_place_of_the_one_before_and_of_nothing_else(found: Found) -> None:
    ada = await found.watched()
    await found.tell(ada, VerificationRequested(ada, FIRST, "x", Instant(1), Instant(9)), raised(ada, SECOND, 1))
    third = UUID(int=13)
    await found.tell(ada, VerificationRequested(ada, third, "y", Instant(2), Instant(9)))

    assert set(await found.mails()) == {SECOND, third}


async def test_a_code_for_another_password_waits_whatever_becomes_of_alerts_until_the_account_is_closed(
    found: Found,
) -> None:
    ada, third = await found.watched(), UUID(int=13)
    await found.tell(ada, PasswordResetRequested(ada, FIRST, "x", Instant(1), Instant(9)), raised(ada, SECOND, 1))
    await found.tell(ada, PasswordResetRequested(ada, third, "y", Instant(2), Instant(9)))
    assert set(await found.mails()) == {SECOND, third}

    await found.tell(ada, AddressGiven(ada, "other@example.com"))
    assert await found.mails() == [third]
    await found.tell(ada, AlertsSwitchedOff(ada))
    assert await found.mails() == [third]
    await found.tell(ada, AlertsEnded(ada))
    assert await found.mails() == []


async def test_a_closing_is_open_until_it_is_finished_and_again_when_a_payment_comes_late(found: Found) -> None:
    ada, bob = await found.history.registered(), await found.history.registered()
    paid = FundsAdded(ada, PaymentId(UUID(int=1)), MicroUsd(10_000))
    await found.history.record(bob, (wallet_stream(bob), FundsAdded(bob, PaymentId(UUID(int=2)), MicroUsd(1))))

    async def still_open() -> list[AccountId]:
        await found.caught_up()
        return list(await found.closings.open_closings(None, 10))

    assert await still_open() == []
    await found.history.record(ada, (account_stream(ada), AccountClosed(ada, Instant(1))))
    assert await still_open() == [ada]
    await found.history.record(ada, (account_stream(ada), ClosingFinished(ada, MicroUsd(0), Instant(2))))
    assert await still_open() == []
    await found.history.record(ada, (wallet_stream(ada), paid))
    assert await still_open() == [ada]
    await found.history.record(ada, (account_stream(ada), ClosingFinished(ada, MicroUsd(0), Instant(3))))
    assert await still_open() == []
