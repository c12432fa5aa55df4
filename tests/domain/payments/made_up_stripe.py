"""A made-up Stripe: lives of payments as Stripe would lead them, each look at them kept, and its own sums of money.

It shares no rule with the product: amounts, states and balance transactions are counted here once more.
"""

from dataclasses import dataclass, field
from typing import Literal

from domain.ids import AccountId, PaymentId, RefundId
from domain.money import MicroUsd
from domain.payments.events import StripeBalanceMoved, TransactionKind
from domain.payments.ports import SeenDispute, SeenPayment, SeenRefund
from tests.domain.wallet.wallets import T0

DISPUTE_FEE = 15_000_000


@dataclass
class MadeUpPayment:
    """One Checkout at Stripe and all that hangs on it; ``looks`` are all its states up to now."""

    seen: SeenPayment
    looks: list[SeenPayment] = field(default_factory=list)

    def become(self, **changes: object) -> None:
        fields = {name: getattr(self.seen, name) for name in SeenPayment.__struct_fields__}
        self.seen = SeenPayment(**{**fields, **changes})
        self.looks.append(self.seen)

    @property
    def paid(self) -> bool:
        return self.seen.state == "paid"

    @property
    def gone(self) -> int:
        """What went back to the payer and stayed there."""
        refunds = sum(refund.amount for refund in self.seen.refunds if refund.state != "failed")
        return refunds + sum(dispute.amount for dispute in self.seen.disputes if dispute.state in ("open", "lost"))

    @property
    def refunded(self) -> int:
        return sum(refund.amount for refund in self.seen.refunds if refund.state != "failed")


@dataclass
class MadeUpStripe:
    """Stripe's side of one business: payments by id, and balance transactions, which come pending and ripen."""

    account_id: AccountId
    payments: dict[PaymentId, MadeUpPayment] = field(default_factory=dict)
    transactions: list[StripeBalanceMoved] = field(default_factory=list)
    made: int = 0

    @property
    def balance(self) -> int:
        """What is ours at Stripe, pending and available."""
        return sum(one.amount - one.fee for one in self.transactions)

    def sum_of(self, *kinds: TransactionKind) -> int:
        return sum(one.amount for one in self.transactions if one.kind in kinds)

    @property
    def fees(self) -> int:
        return sum(one.fee for one in self.transactions)

    def open(self, payment_id: PaymentId, amount: int) -> MadeUpPayment:
        name = self._name("cs")
        seen = SeenPayment(
            session_id=name,
            payment_reference=str(payment_id),
            account_reference=str(self.account_id),
            mode="payment",
            amount=MicroUsd(amount),
            currency="usd",
            state="open",
            payment_intent_id=None,
            charge_id=None,
            received=MicroUsd(0),
        )
        self.payments[payment_id] = made = MadeUpPayment(seen, [seen])
        return made

    def pay(self, payment: MadeUpPayment) -> None:
        amount = payment.seen.amount
        payment.become(
            state="paid", payment_intent_id=self._name("pi"), charge_id=self._name("ch"), received=MicroUsd(amount)
        )
        self._move("charge", amount, fee=amount * 29 // 1000 + 300_000)

    def refund(self, payment: MadeUpPayment, amount: int, refund_id: RefundId | None = None) -> None:
        refund = SeenRefund(self._name("re"), refund_id, MicroUsd(amount), "pending")
        payment.become(refunds=(*payment.seen.refunds, refund))
        self._move("refund", -amount)

    def settle(self, payment: MadeUpPayment, at: int) -> None:
        self._change_refund(payment, at, "settled")

    def fail(self, payment: MadeUpPayment, at: int) -> None:
        """Fail a refund, maybe long after it was told as settled."""
        self._change_refund(payment, at, "failed")
        self._move("refund-failure", payment.seen.refunds[at].amount)

    def inquire(self, payment: MadeUpPayment, amount: int) -> None:
        self._add_dispute(payment, amount, "inquiry")

    def dispute(self, payment: MadeUpPayment, amount: int) -> None:
        self._add_dispute(payment, amount, "open")
        self._move("dispute", -amount, fee=DISPUTE_FEE)

    def escalate(self, payment: MadeUpPayment, at: int) -> None:
        """Have a bank that asked want the money back."""
        self._change_dispute(payment, at, "open")
        self._move("dispute", -payment.seen.disputes[at].amount, fee=DISPUTE_FEE)

    def close_inquiry(self, payment: MadeUpPayment, at: int) -> None:
        self._change_dispute(payment, at, "inquiry-closed")

    def lose(self, payment: MadeUpPayment, at: int) -> None:
        self._change_dispute(payment, at, "lost")

    def win(self, payment: MadeUpPayment, at: int) -> None:
        self._change_dispute(payment, at, "won")
        self._move("dispute-reversal", payment.seen.disputes[at].amount, fee=-DISPUTE_FEE)

    def pay_out(self) -> None:
        if self.balance > 0:
            self._move("payout", -self.balance)

    def _add_dispute(self, payment: MadeUpPayment, amount: int, state: Literal["inquiry", "open"]) -> None:
        dispute = SeenDispute(self._name("dp"), MicroUsd(amount), state)
        payment.become(disputes=(*payment.seen.disputes, dispute))

    def _change_dispute(
        self, payment: MadeUpPayment, at: int, state: Literal["inquiry-closed", "open", "won", "lost"]
    ) -> None:
        disputes = list(payment.seen.disputes)
        disputes[at] = SeenDispute(disputes[at].dispute_id, disputes[at].amount, state)
        payment.become(disputes=tuple(disputes))

    def _change_refund(self, payment: MadeUpPayment, at: int, state: Literal["settled", "failed"]) -> None:
        refunds = list(payment.seen.refunds)
        old = refunds[at]
        refunds[at] = SeenRefund(old.stripe_refund_id, old.refund_id, old.amount, state)
        payment.become(refunds=tuple(refunds))

    def _move(self, kind: TransactionKind, amount: int, fee: int = 0) -> None:
        self.transactions.append(
            StripeBalanceMoved(
                transaction_id=self._name("txn"),
                kind=kind,
                source_id=None,
                amount=MicroUsd(amount),
                fee=MicroUsd(fee),
                available_at=T0,
                happened_at=T0,
                is_available=False,
            )
        )

    def _name(self, kind: str) -> str:
        self.made += 1
        return f"{kind}_{self.made}"
