"""The reference's funds: what is paid in, given, taken back and owed, sharing no code with the product."""

from dataclasses import dataclass, field
from uuid import UUID


@dataclass
class Bite:
    """How an amount that went back to a payer was borne."""

    amount: int
    taken: int
    owed: int
    absorbed: int
    open: bool = True


@dataclass
class Payment:
    id: UUID
    asked: int
    received: bool = False
    bites: dict[str, Bite] = field(default_factory=dict)
    """By the name of the refund or dispute."""

    @property
    def left(self) -> int:
        """What the customer can still be made to bear of it."""
        return self.asked - sum(bite.taken + bite.owed for bite in self.bites.values() if bite.open)


class Funds:
    def __init__(self) -> None:
        self.balance = 0
        self.given = 0
        self.owed = 0
        self.written_off = 0
        self.payments: list[Payment] = []

    def come_in(self, amount: int, *, given: bool = False) -> None:
        self.balance += amount
        self.given += amount if given else 0
        debt = min(self.balance, self.owed)
        self.owed -= debt
        self._go_out(debt)

    def spend(self, amount: int) -> None:
        """Minutes use up what was given before what was paid for."""
        self.given = max(0, self.given - amount)
        self.balance -= amount

    def receive(self, payment: Payment) -> None:
        if not payment.received:
            payment.received = True
            self.come_in(payment.asked)

    def refund(self, amount: int | None) -> list[tuple[Payment, int]]:
        """Return which payments give what back, the newest first, in whole cents."""
        wanted = self.balance - self.given if amount is None else amount
        chosen = []
        for payment in reversed(self.payments):
            disputed = any(name.startswith("dp") and bite.open for name, bite in payment.bites.items())
            part = min(wanted, payment.left) // 10_000 * 10_000
            if payment.received and not disputed and part > 0:
                chosen.append((payment, part))
                wanted -= part
        return chosen

    def take_refund(self, payment: Payment, name: str, amount: int) -> None:
        payment.bites[name] = Bite(amount, amount, 0, 0)
        self._go_out(amount)

    def claw_back(self, payment: Payment, name: str, amount: int) -> bool:
        """Take what Stripe took; return whether that leaves a debt."""
        borne = min(amount, payment.left)
        taken = min(borne, self.balance)
        payment.bites[name] = Bite(amount, taken, borne - taken, amount - borne)
        self._go_out(taken)
        self.owed += borne - taken
        return borne > taken

    def give_back(self, payment: Payment, name: str) -> None:
        bite = payment.bites[name]
        if not bite.open:
            return
        bite.open = False
        self.come_in(bite.taken + bite.owed)
        recovered = min(self.written_off, bite.owed, self.balance)
        self.written_off -= recovered
        self._go_out(recovered)

    def write_off(self) -> None:
        self.written_off += self.owed
        self.owed = 0

    def _go_out(self, amount: int) -> None:
        self.balance -= amount
        self.given = min(self.given, self.balance)
