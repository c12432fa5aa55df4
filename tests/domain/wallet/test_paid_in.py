"""Money that was paid in: added, taken back, returned, given up, and put right by an operator."""

from uuid import UUID

import pytest

from domain.errors import Invalid, InvariantBroken
from domain.events import Event
from domain.ids import EventId, PaymentId
from domain.money import MicroUsd
from domain.wallet.commands import AdmitVps, CreditFunds
from domain.wallet.events import (
    BadDebtRecovered,
    DebtWrittenOff,
    FundsAdded,
    FundsCorrected,
    FundsCredited,
    FundsReturned,
    FundsTaken,
    MinutesMetered,
    ReceivablePaid,
    VpsReleased,
)
from domain.wallet.funds import AccountFrozen, InsufficientBalance, admit, credit_funds
from domain.wallet.paid_in import (
    MoreThanRefundable,
    NothingOwed,
    Part,
    add_payment,
    claw_back,
    correct,
    give_back,
    part,
    take_refund,
    write_off,
)
from domain.wallet.wallet import Wallet
from tests.domain.books.test_postings import line
from tests.domain.wallet.wallets import ACCOUNT, BOOK, MAIL, SMALL, T0, WEB, after, given, running

PAYMENT = PaymentId(UUID(int=71))
EARLIER = EventId(UUID(int=81))
CORRECTION = UUID(int=91)
ZERO = MicroUsd(0)


def added(amount: int) -> FundsAdded:
    return FundsAdded(ACCOUNT, PAYMENT, MicroUsd(amount))


def owing(amount: int, *events: Event) -> Wallet:
    """Return a wallet that owes, after other events."""
    return after(given(*events), FundsTaken(ACCOUNT, PAYMENT, "dispute", "dp_1", ZERO, MicroUsd(amount), ZERO))


def charged(*amounts: int) -> MinutesMetered:
    return MinutesMetered(ACCOUNT, tuple(line(amount, n=n) for n, amount in enumerate(amounts, start=1)))


def corrected(wallet: Wallet, earlier: Event, amount: int, reason: str = "too much") -> tuple[Event, ...]:
    return correct(wallet, CORRECTION, EARLIER, earlier, MicroUsd(amount), reason)


# What comes in.


def test_a_payment_is_added_to_what_was_paid_for() -> None:
    wallet = after(given(funds=5), *add_payment(given(), PAYMENT, MicroUsd(10)))

    assert (wallet.balance, wallet.goodwill, wallet.refundable) == (15, 5, 10)


def test_a_payment_of_nothing_is_none() -> None:
    with pytest.raises(InvariantBroken):
        add_payment(given(), PAYMENT, ZERO)


@pytest.mark.parametrize(("amount", "paid", "balance"), [(4, 4, 0), (10, 10, 0), (12, 10, 2)])
def test_whatever_comes_in_first_pays_what_is_owed(amount: int, paid: int, balance: int) -> None:
    wallet = owing(10)

    for events in (
        add_payment(wallet, PAYMENT, MicroUsd(amount)),
        credit_funds(wallet, CreditFunds(UUID(int=5), MicroUsd(amount), "sorry")),
        give_back(wallet, PAYMENT, "dispute-won", "dp_1", Part(MicroUsd(amount), ZERO, ZERO)),
    ):
        assert events[1:] == (ReceivablePaid(ACCOUNT, MicroUsd(paid)),)
        assert (after(wallet, *events).balance, after(wallet, *events).receivable) == (balance, 10 - paid)


def test_an_account_that_owes_switches_nothing_on() -> None:
    with pytest.raises(AccountFrozen) as refused:
        admit(owing(10), BOOK, AdmitVps(WEB, 1, SMALL, T0), T0)

    assert refused.value.facts == {"owed": 10, "shortfall": 4_210, "top_up": 5_000_000}


# What goes back.


def test_what_stripe_takes_comes_from_the_balance_then_is_owed_then_is_our_loss() -> None:
    wallet = given(added(30))

    assert part(wallet, MicroUsd(20), MicroUsd(50)) == Part(MicroUsd(20), ZERO, ZERO)
    assert part(wallet, MicroUsd(40), MicroUsd(50)) == Part(MicroUsd(30), MicroUsd(10), ZERO)
    assert part(wallet, MicroUsd(60), MicroUsd(50)) == Part(MicroUsd(30), MicroUsd(20), MicroUsd(10))
    assert part(wallet, MicroUsd(60), ZERO) == Part(ZERO, ZERO, MicroUsd(60))


def test_gifts_are_taken_after_what_was_paid_for_and_come_back_as_gifts() -> None:
    wallet = given(added(10), funds=5)
    borne = part(wallet, MicroUsd(12), MicroUsd(50))

    taken = after(wallet, *claw_back(wallet, PAYMENT, "dispute", "dp_1", borne, T0))
    back = after(taken, *give_back(taken, PAYMENT, "dispute-won", "dp_1", borne))

    assert borne.goodwill == 2
    assert (taken.balance, taken.goodwill) == (3, 3)
    assert (back.balance, back.goodwill) == (15, 5)


def test_a_debt_releases_everything_that_is_on() -> None:
    wallet = given(*running(WEB), *running(MAIL))
    events = claw_back(wallet, PAYMENT, "dispute", "dp_1", Part(ZERO, MicroUsd(1), ZERO), T0)

    assert events[1:] == (VpsReleased(WEB, 1, T0, "frozen"), VpsReleased(MAIL, 1, T0, "frozen"))
    assert list(after(wallet, *events).meters_on()) == []


def test_no_debt_releases_nothing() -> None:
    wallet = given(*running(WEB), added(10))

    assert len(claw_back(wallet, PAYMENT, "dispute", "dp_1", Part(MicroUsd(10), ZERO, ZERO), T0)) == 1


def test_only_what_was_paid_for_can_be_asked_back() -> None:
    wallet = given(added(10), funds=5)

    assert take_refund(wallet, PAYMENT, "r", MicroUsd(10)).taken == 10
    with pytest.raises(MoreThanRefundable) as refused:
        take_refund(wallet, PAYMENT, "r", MicroUsd(11))
    assert refused.value.facts == {"refundable": 10, "requested": 11}


def test_what_was_our_loss_comes_back_to_us() -> None:
    [returned] = give_back(given(), PAYMENT, "dispute-won", "dp_1", Part(ZERO, ZERO, MicroUsd(7)))

    assert returned == FundsReturned(ACCOUNT, PAYMENT, "dispute-won", "dp_1", ZERO, MicroUsd(7))


# What is given up.


def test_what_an_account_owes_can_be_given_up() -> None:
    wallet = owing(10)

    wallet = after(wallet, *write_off(wallet, "not worth a letter"))

    assert (wallet.receivable, wallet.written_off, wallet.frozen) == (0, 10, False)


def test_who_owes_nothing_is_given_nothing_up() -> None:
    with pytest.raises(NothingOwed):
        write_off(given(funds=5), "kindness")


def test_giving_up_has_a_reason() -> None:
    with pytest.raises(Invalid):
        write_off(owing(10), " ")


@pytest.mark.parametrize(("owed", "recovered"), [(10, 10), (4, 4), (0, 0)])
def test_what_was_given_up_is_recovered_as_far_as_it_was_given_up_for_this(owed: int, recovered: int) -> None:
    wallet = after(owing(10), DebtWrittenOff(ACCOUNT, MicroUsd(10), "gone"))

    events = give_back(wallet, PAYMENT, "dispute-won", "dp_1", Part(MicroUsd(10 - owed), MicroUsd(owed), ZERO))

    assert events[1:] == ((BadDebtRecovered(ACCOUNT, MicroUsd(recovered)),) if recovered else ())
    assert after(wallet, *events).written_off == 10 - recovered
    assert after(wallet, *events).balance == 10 - recovered


# What is put right.


def test_minutes_that_were_charged_can_be_given_back_up_to_what_they_cost() -> None:
    wallet = given(*running(), added(500), charged(70, 71))

    events = corrected(wallet, charged(70, 71), 141)

    assert events == (FundsCorrected(ACCOUNT, CORRECTION, EARLIER, "minutes", MicroUsd(141), "too much"),)
    assert (after(wallet, *events).balance, after(wallet, *events).refundable) == (500, 500)


@pytest.mark.parametrize("amount", [142, -1, 0])
def test_no_more_is_given_back_than_was_charged_and_nothing_more_is_charged(amount: int) -> None:
    with pytest.raises(Invalid) as refused:
        corrected(given(*running(), added(500), charged(70, 71)), charged(70, 71), amount)

    assert refused.value.facts == {"fields": {"amount": "all corrections of this event must be from 0 to 0.000141 USD"}}


def test_all_corrections_of_an_event_count_together_and_can_be_put_right_themselves() -> None:
    wallet = given(*running(), added(500), charged(70, 71))
    wallet = after(wallet, *corrected(wallet, charged(70, 71), 100))

    with pytest.raises(Invalid):
        corrected(wallet, charged(70, 71), 42)
    assert after(wallet, *corrected(wallet, charged(70, 71), 41)).balance == 500
    assert after(wallet, *corrected(wallet, charged(70, 71), -100)).balance == 359


def test_a_credit_that_was_a_mistake_can_be_taken_back() -> None:
    gift = FundsCredited(ACCOUNT, UUID(int=5), MicroUsd(500), "a gift")
    wallet = given(added(100), gift)

    events = corrected(wallet, gift, -500, "meant for another")

    assert events == (FundsCorrected(ACCOUNT, CORRECTION, EARLIER, "goodwill", MicroUsd(-500), "meant for another"),)
    assert (after(wallet, *events).balance, after(wallet, *events).goodwill) == (100, 0)


@pytest.mark.parametrize("amount", [-501, 1])
def test_a_credit_is_taken_back_at_most_and_never_given_twice(amount: int) -> None:
    gift = FundsCredited(ACCOUNT, UUID(int=5), MicroUsd(500), "a gift")

    with pytest.raises(Invalid):
        corrected(given(gift, added(1_000)), gift, amount)


def test_a_credit_that_is_spent_cannot_be_taken_from_nothing() -> None:
    gift = FundsCredited(ACCOUNT, UUID(int=5), MicroUsd(500), "a gift")

    with pytest.raises(InsufficientBalance):
        corrected(given(gift, *running(), charged(400)), gift, -500)


def test_only_charges_and_credits_are_put_right() -> None:
    with pytest.raises(Invalid) as refused:
        corrected(given(added(10)), added(10), -10)

    assert refused.value.facts == {"fields": {"corrects": "must be an event that charged minutes or gave a credit"}}


def test_a_correction_has_a_reason() -> None:
    with pytest.raises(Invalid):
        corrected(given(*running(), added(500), charged(70)), charged(70), 1, reason="")


def test_a_correction_first_pays_what_is_owed() -> None:
    wallet = owing(10, *running(), added(70), charged(70))

    assert corrected(wallet, charged(70), 30)[1:] == (ReceivablePaid(ACCOUNT, MicroUsd(10)),)
