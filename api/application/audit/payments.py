"""Checks of payments: each added once, nothing taken back beyond it, and nothing given back that was not taken."""

from collections import defaultdict

import msgspec

from api.application.audit.findings import Check
from domain.events import Event
from domain.ids import PaymentId
from domain.payments.events import DisputeLost, PaymentReceived, RefundSettled
from domain.wallet.events import FundsAdded, FundsReturned, FundsTaken


class _Taken(msgspec.Struct):
    """What was taken back of one payment."""

    clawed: int = 0
    absorbed: int = 0
    by_key: dict[str, int] = {}
    """What stands of each refund and dispute."""
    keys: set[str] = set()
    """Of all that ever stood."""


class Payments:
    """Sees every event once, in order of position."""

    def __init__(self) -> None:
        self._received: dict[PaymentId, tuple[object, int]] = {}
        self._added: dict[PaymentId, tuple[object, int]] = {}
        self._taken: defaultdict[PaymentId, _Taken] = defaultdict(_Taken)
        self._gone: set[tuple[PaymentId, str]] = set()
        self.added = Check("every payment that was received was added to its wallet once, and nothing else was")
        self.taken = Check("of no payment was more taken back than it added, and only that came back")

    @property
    def checks(self) -> tuple[Check, ...]:
        """Return the checks that these are."""
        return self.added, self.taken

    def visit(self, position: int, event: Event) -> None:
        """Look at the next event."""
        where = f"position {position}"
        match event:
            case PaymentReceived():
                self.added.expect(
                    event.payment_id not in self._received, f"{where}: payment {event.payment_id} is received again"
                )
                self._received[event.payment_id] = (event.account_id, event.amount)
            case FundsAdded():
                self.added.expect(
                    event.payment_id not in self._added, f"{where}: payment {event.payment_id} is added again"
                )
                self._added.setdefault(event.payment_id, (event.account_id, event.amount))
            case FundsTaken():
                self._visit_taken(where, event)
            case FundsReturned():
                self._visit_returned(where, event)
            case RefundSettled():
                self._gone.add((event.payment_id, event.key))
            case DisputeLost():
                self._gone.add((event.payment_id, event.dispute_id))

    def finish(self) -> None:
        """Compare what was received with what was added, and what is gone with what was taken."""
        for payment_id in self._received.keys() | self._added.keys():
            received, added = self._received.get(payment_id), self._added.get(payment_id)
            if received is None:
                self.added.fault(f"payment {payment_id} was added and never received")
            elif added is None:
                self.added.fault(f"payment {payment_id} was received and never added")
            elif received != added:
                self.added.fault(f"payment {payment_id}: {received[1]} micro-USD were received, {added[1]} added")
        for payment_id, key in self._gone:
            self.taken.expect(
                key in self._taken[payment_id].keys, f"payment {payment_id}: {key} was paid out and never taken"
            )

    def _visit_taken(self, where: str, event: FundsTaken) -> None:
        taken = self._taken[event.payment_id]
        self.taken.expect(not taken.by_key.get(event.key), f"{where}: {event.key} is taken again")
        taken.clawed += event.taken + event.owed
        taken.absorbed += event.absorbed
        taken.by_key[event.key] = event.taken + event.owed + event.absorbed
        taken.keys.add(event.key)
        added = self._added.get(event.payment_id, (None, 0))
        if taken.clawed > added[1] or event.account_id != added[0]:
            self.taken.fault(f"{where}: {taken.clawed} micro-USD are taken of a payment of {added[1]}")
        if min(event.taken, event.owed, event.absorbed) < 0:
            self.taken.fault(f"{where}: less than nothing is taken")

    def _visit_returned(self, where: str, event: FundsReturned) -> None:
        taken = self._taken[event.payment_id]
        stood = taken.by_key.pop(event.key, 0)
        back = event.amount + event.absorbed
        self.taken.expect(back == stood, f"{where}: {back} micro-USD of {event.key} come back, of which {stood} stood")
        taken.clawed -= event.amount
        taken.absorbed -= event.absorbed
        if min(taken.clawed, taken.absorbed) < 0:
            self.taken.fault(f"{where}: more comes back of payment {event.payment_id} than was taken of it")
