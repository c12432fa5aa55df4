"""A recording: what one look at Stripe comes to, event by event, each decided over the states after the ones before."""

from domain.errors import InvariantBroken, not_none
from domain.events import Event
from domain.money import MicroUsd
from domain.payments.payment import Payment, evolve
from domain.ports import Claim
from domain.time import Instant
from domain.wallet.events import ReturnedCause, TakenCause
from domain.wallet.paid_in import Part, claw_back, evolved, give_back, part
from domain.wallet.wallet import Wallet

STRIPE_CLAIM = "stripe"
"""The scope of claims on what Stripe tells: one for each object and stage, such as ``pi_1:paid`` or ``dp_1:lost``."""


class Recording:
    """A payment and its wallet as they become, and the events and claims that make them so."""

    def __init__(self, payment: Payment, wallet: Wallet, now: Instant) -> None:
        if payment.account_id != wallet.account_id:
            raise InvariantBroken("a payment goes to the wallet of who asked for it")
        self.payment = payment
        self.wallet = wallet
        self.now = now
        self.payment_events: list[Event] = []
        self.wallet_events: list[Event] = []
        self.claims: list[Claim] = []

    def claim(self, key: str) -> None:
        """Let this stage of this object be recorded once, whatever else goes wrong."""
        self.claims.append(Claim(STRIPE_CLAIM, key.encode(), self.payment.payment_id))

    def note(self, *events: Event) -> None:
        """Record events of the payment."""
        for event in events:
            self.payment = not_none(evolve(self.payment, event), "a payment that is known stays known")
            self.payment_events.append(event)

    def move(self, *events: Event) -> None:
        """Record events of the wallet."""
        self.wallet = evolved(self.wallet, events)
        self.wallet_events += events

    def claw_back(self, cause: TakenCause, key: str, amount: MicroUsd) -> Part:
        """Charge the wallet with what Stripe has taken; return how it is borne, for the payment to note."""
        borne = part(self.wallet, amount, self.payment.left)
        self.move(*claw_back(self.wallet, self.payment.payment_id, cause, key, borne, self.now))
        return borne

    def give_back(self, cause: ReturnedCause, key: str, amount: MicroUsd) -> None:
        """Give back what was taken; to be called before the payment notes that it came back."""
        borne = self.payment.returned(amount)
        self.move(*give_back(self.wallet, self.payment.payment_id, cause, key, borne))
