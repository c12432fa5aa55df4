"""A small house for payments: their streams, the wallet's and Stripe's, recorded one decision after the other."""

from collections.abc import Iterable
from functools import reduce
from uuid import UUID

from domain.books.postings import postings
from domain.events import Event
from domain.ids import AccountId, PaymentId, RefundId
from domain.money import MicroUsd
from domain.payments import payment as payments
from domain.payments import transactions
from domain.payments.applying import Applied, apply_seen
from domain.payments.checkout import note_opened, request_checkout
from domain.payments.commands import RequestCheckout
from domain.payments.events import StripeBalanceMoved
from domain.payments.payment import Payment
from domain.payments.ports import OpenedCheckout, SeenDispute, SeenPayment, SeenRefund
from domain.payments.refunds import choose_refunds
from domain.payments.transactions import Transaction, apply_transaction
from domain.ports import Claim
from domain.time import HOUR, Instant
from domain.wallet.commands import CreditFunds
from domain.wallet.events import MinutesMetered, WalletOpened
from domain.wallet.funds import credit_funds
from domain.wallet.wallet import FOLD, Wallet
from tests.domain.books.test_postings import line
from tests.domain.wallet.wallets import ACCOUNT, T0, WEB, running

TOP_UP = PaymentId(UUID(int=71))
SECOND = PaymentId(UUID(int=72))
USD = 1_000_000


class House:
    """One account and its payments. ``recorded`` is the log, ``books`` its trial balance, ``claims`` what is taken."""

    def __init__(self, account_id: AccountId = ACCOUNT) -> None:
        self.account_id = account_id
        self.wallet: Wallet = FOLD.initial
        self.payments: dict[PaymentId, Payment] = {}
        self.transactions: dict[str, Transaction] = {}
        self.recorded: list[Event] = []
        self.books: dict[str, int] = {}
        self.claims: set[tuple[str, bytes]] = set()
        self.ids = 1000
        self.move(WalletOpened(account_id))

    def move(self, *events: Event) -> None:
        """Record events of the wallet."""
        self.wallet = reduce(FOLD.evolve, events, self.wallet)
        self._record(events)

    def note(self, payment_id: PaymentId, *events: Event) -> None:
        """Record events of a payment."""
        payment = reduce(payments.evolve, events, self.payments.get(payment_id))
        if payment is not None:
            self.payments[payment_id] = payment
        self._record(events)

    def ask(self, amount: int, payment_id: PaymentId = TOP_UP, now: Instant = T0) -> Payment:
        """Request a Checkout."""
        command = RequestCheckout(payment_id, self.account_id, MicroUsd(amount))
        self.note(payment_id, *request_checkout(self.payments.get(payment_id), command, now))
        return self.payments[payment_id]

    def opened(self, session_id: str = "cs_1", payment_id: PaymentId = TOP_UP) -> None:
        """Note where to pay."""
        opened = OpenedCheckout(session_id, "https://checkout.example/1", Instant(T0 + HOUR))
        self.note(payment_id, *note_opened(self.payments[payment_id], opened))

    def paid(self, amount: int = 10 * USD, payment_id: PaymentId = TOP_UP, now: Instant = T0) -> SeenPayment:
        """Have a payment received; return how Stripe shows it."""
        self.ask(amount, payment_id, now)
        seen = shown(amount, payment_id)
        self.look(seen)
        return seen

    def look(self, seen: SeenPayment, payment_id: PaymentId = TOP_UP, now: Instant = T0) -> Applied:
        """Show what Stripe has of a payment; ``payment_id`` counts where Stripe's own reference is none of ours."""
        known = {str(one): one for one in self.payments}
        payment_id = known.get(str(seen.payment_reference), payment_id)
        applied = apply_seen(self.payments[payment_id], self.wallet, seen, now)
        self.apply(applied)
        return applied

    def apply(self, applied: Applied) -> None:
        """Record what a look came to. A claim that is taken already would have refused the append."""
        self._claim(applied.claims)
        self.note(applied.payment_id, *applied.payment_events)
        self.move(*applied.wallet_events)

    def spend(self, amount: int) -> None:
        """Have minutes of a VPS paid; it is on from then on."""
        if WEB not in self.wallet.meters:
            self.move(*running())
        n = self.wallet.meters[WEB].used_n + 1
        self.move(MinutesMetered(self.account_id, (line(amount, n=n),)))

    def credit(self, amount: int) -> None:
        """Give the account some funds."""
        self.move(*credit_funds(self.wallet, CreditFunds(UUID(int=5), MicroUsd(amount), "sorry")))

    def refund(self, amount: int | None, now: Instant = T0) -> list[tuple[PaymentId, RefundId, int]]:
        """Ask for a refund; return which payments are to give back what, by the refund's id."""
        self.ids += 100
        new_ids = (RefundId(UUID(int=self.ids + n)) for n in range(100))
        wanted = None if amount is None else MicroUsd(amount)
        chosen = choose_refunds(list(self.payments.values()), self.wallet, wanted, "requested", new_ids, now)
        for one in chosen:
            self.note(one.payment_id, one.requested)
            self.move(one.taken)
        return [(one.payment_id, one.requested.refund_id, one.requested.amount) for one in chosen]

    def tell(self, moved: StripeBalanceMoved) -> tuple[Event, ...]:
        """Show a balance transaction as it is now."""
        known = self.transactions.get(moved.transaction_id)
        events = apply_transaction(known, moved)
        after = reduce(transactions.evolve, events, known)
        assert after is not None
        self.transactions[moved.transaction_id] = after
        self._record(events)
        return events

    def _claim(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            assert (claim.scope, claim.key) not in self.claims, f"{claim.key!r} is taken"
            self.claims.add((claim.scope, claim.key))

    def _record(self, events: Iterable[Event]) -> None:
        for event in events:
            self.recorded.append(event)
            for posting in postings(event):
                self.books[posting.account] = self.books.get(posting.account, 0) + posting.amount


def shown(amount: int = 10 * USD, payment_id: PaymentId = TOP_UP, **changes: object) -> SeenPayment:
    """Return how Stripe shows a payment that was received, unless told otherwise."""
    number = payment_id.int
    seen: dict[str, object] = {
        "session_id": f"cs_{number}",
        "payment_reference": str(payment_id),
        "account_reference": str(ACCOUNT),
        "mode": "payment",
        "amount": MicroUsd(amount),
        "currency": "usd",
        "state": "paid",
        "payment_intent_id": f"pi_{number}",
        "charge_id": f"ch_{number}",
        "received": MicroUsd(amount),
    }
    return SeenPayment(**{**seen, **changes})  # type: ignore[arg-type]


def refund(amount: int, state: str, name: str = "re_1", refund_id: RefundId | None = None) -> SeenRefund:
    """Return how Stripe shows a refund."""
    return SeenRefund(name, refund_id, MicroUsd(amount), state)  # type: ignore[arg-type]


def dispute(amount: int, state: str, name: str = "dp_1") -> SeenDispute:
    """Return how Stripe shows a dispute."""
    return SeenDispute(name, MicroUsd(amount), state)  # type: ignore[arg-type]
