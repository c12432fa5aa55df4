"""The reference's funds: what is paid in, given, taken back and owed, sharing no code with the product."""

from dataclasses import dataclass, field
from uuid import UUID

from domain.payments.ports import SeenPayment, SeenRefund

CENT = 10_000


def name_of(refund: SeenRefund) -> str:
    return str(refund.refund_id or refund.stripe_refund_id)


@dataclass
class Payment:
    id: UUID
    asked: int
    at: int
    received: bool = False
    gone: dict[str, int] = field(default_factory=dict)
    """What went back or is about to, by the name of the refund or dispute."""
    disputed: set[str] = field(default_factory=set)
    """Of these, the disputes that are open or lost."""
    owed: int = 0
    """Of what the customer bears, what the balance lacked."""
    given: int = 0
    """Of what the customer bears, what came out of gifts."""
    debt: int = 0
    """What the account owes for want of it."""
    forgiven: int = 0
    """What it owed so, and was written off."""

    @property
    def borne(self) -> int:
        return min(self.asked, sum(self.gone.values()))

    @property
    def left(self) -> int:
        return self.asked - self.borne


class Funds:
    def __init__(self) -> None:
        self.balance = 0
        self.given = 0
        self.debtors: list[Payment] = []
        """Payments for want of which something is owed, the oldest debt first."""
        self.payments: list[Payment] = []

    @property
    def owed(self) -> int:
        return sum(payment.debt for payment in self.payments)

    @property
    def written_off(self) -> int:
        return sum(payment.forgiven for payment in self.payments)

    def come_in(self, amount: int, *, given: int = 0, of: Payment | None = None) -> None:
        """``of``: the payment that it came back of, whose own debt is paid first."""
        self.balance += amount
        self.given += given
        for payment in sorted(self.debtors, key=lambda one: one is not of):
            paid = min(self.balance, payment.debt)
            payment.debt -= paid
            self._go_out(paid)
        self.debtors = [payment for payment in self.debtors if payment.debt]

    def spend(self, amount: int) -> None:
        """Minutes use up what was given before what was paid for."""
        self.given = max(0, self.given - amount)
        self.balance -= amount

    def receive(self, payment: Payment) -> None:
        if not payment.received:
            payment.received = True
            self.come_in(payment.asked)

    def refunds_of(self, wanted: int | None) -> list[tuple[Payment, int]]:
        """Return which payments give what back, the newest first, in whole cents of each."""
        left = self.balance - self.given if wanted is None else wanted
        chosen = []
        for payment in sorted(self.payments, key=lambda payment: payment.at)[::-1]:
            part = min(left, payment.left) // CENT * CENT
            if payment.received and not payment.disputed and part > 0:
                chosen.append((payment, part))
                left -= part
        return chosen

    def refund(self, payment: Payment, name: str, amount: int) -> None:
        payment.gone[name] = amount
        self._go_out(amount)

    def claw_back(self, payment: Payment, name: str, amount: int) -> bool:
        """Take what Stripe took; return whether that leaves a debt."""
        before = payment.borne
        payment.gone[name] = amount
        borne = payment.borne - before
        taken = min(borne, self.balance)
        lacking = borne - taken
        payment.owed += lacking
        payment.given += max(0, taken - (self.balance - self.given))
        self._go_out(taken)
        payment.debt += lacking
        if lacking and payment not in self.debtors:
            self.debtors.append(payment)
        return lacking > 0

    def give_back(self, payment: Payment, name: str) -> None:
        before = payment.borne
        del payment.gone[name]
        payment.disputed.discard(name)
        back = before - payment.borne
        lacked = min(payment.owed, back)
        gifts = min(payment.given, back - lacked)
        payment.owed -= lacked
        payment.given -= gifts
        self.come_in(back, given=gifts, of=payment)
        recovered = min(payment.forgiven, lacked, self.balance)
        payment.forgiven -= recovered
        self._go_out(recovered)

    def look(self, payment: Payment, stripe: SeenPayment) -> bool:
        """Take in what Stripe has of a payment; return whether that leaves a debt."""
        if stripe.state == "paid":
            self.receive(payment)
        if not payment.received:
            return False
        won = [dispute.dispute_id for dispute in stripe.disputes if dispute.state == "won"]
        failed = [name_of(refund) for refund in stripe.refunds if refund.state == "failed"]
        for name in (*won, *failed):
            if name in payment.gone:
                self.give_back(payment, name)
        taken = {name_of(refund): refund.amount for refund in stripe.refunds if refund.state != "failed"}
        disputed = {one.dispute_id: one.amount for one in stripe.disputes if one.state in ("open", "lost")}
        payment.disputed |= disputed.keys()
        debts = [
            self.claw_back(payment, name, amount)
            for name, amount in (taken | disputed).items()
            if name not in payment.gone
        ]
        return any(debts)

    def correct(self, amount: int, *, given: bool) -> None:
        if given:
            self.given = max(0, self.given + amount)
        self._go_out(-amount)
        self.come_in(0)

    def write_off(self) -> None:
        for payment in self.debtors:
            payment.forgiven, payment.debt = payment.forgiven + payment.debt, 0
        self.debtors = []

    def _go_out(self, amount: int) -> None:
        self.balance -= amount
        self.given = min(self.given, self.balance)
