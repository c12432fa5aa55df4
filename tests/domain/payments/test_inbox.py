"""The inbox: what Stripe tells is kept once, before anything is made of it, and applied once."""

from functools import reduce

from domain.events import Event
from domain.payments.events import StripeEventApplied, StripeEventReceived
from domain.payments.inbox import FOLD, Inbox, note_applied, receive
from domain.payments.ports import StripeEvent
from tests.domain.payments.house import TOP_UP
from tests.domain.wallet.wallets import ACCOUNT, T0

TOLD = StripeEvent("evt_1", "checkout.session.completed", T0, session_id="cs_1", raw='{"id":"evt_1"}')


def after(*events: Event) -> Inbox:
    return reduce(FOLD.evolve, events, FOLD.initial)


def test_what_stripe_tells_is_kept_as_it_came() -> None:
    kept = receive(FOLD.initial, TOLD, ACCOUNT)

    assert kept == (StripeEventReceived(ACCOUNT, "evt_1", "checkout.session.completed", '{"id":"evt_1"}', T0),)
    assert after(*kept) == Inbox(True, False, ACCOUNT, "checkout.session.completed", '{"id":"evt_1"}')


def test_what_is_told_again_is_kept_once() -> None:
    assert receive(after(*receive(FOLD.initial, TOLD, ACCOUNT)), TOLD, ACCOUNT) == ()


def test_what_was_applied_is_noted_once() -> None:
    kept = receive(FOLD.initial, TOLD, ACCOUNT)

    applied = note_applied(after(*kept), "evt_1", TOP_UP)

    assert applied == (StripeEventApplied("evt_1", TOP_UP),)
    assert note_applied(after(*kept, *applied), "evt_1", TOP_UP) == ()
