"""Checks of what the events say: money, minutes and addresses, against each other and what is kept beside them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain
from uuid import UUID

import msgspec

from api.application.audit.blobs import KeptTexts
from api.application.audit.corrections import Corrections
from api.application.audit.findings import Check
from api.application.audit.payments import Payments
from api.application.audit.statements import Statements
from api.application.audit.wallets import Wallets
from domain import codec
from domain.accounts.account import EMAIL_CLAIM
from domain.accounts.events import AccountClosed, AccountRegistered
from domain.books import chart
from domain.books.postings import postings
from domain.events import Event
from domain.evidence import Evidence
from domain.ids import AccountId, PlanId, VpsId
from domain.money import MicroUsd, charge_for_minutes
from domain.ports import Recorded
from domain.time import MINUTE
from domain.wallet.events import MinutesMetered, MinutesWaived

_OPEN_ACCOUNTS = {
    chart.CLEARING,
    chart.PENDING,
    chart.DISPUTED,
    chart.UNEXPLAINED,
    chart.REFUNDS_PAYABLE,
    chart.DISPUTE_RESERVE,
}
"""Where money is on its way: not wrong as long as it waits for somebody to tell more, and worth a look."""


class SemanticChecks:
    """Sees every event once, in order of position. Balances and minutes are summed here anew."""

    def __init__(self) -> None:
        self._trial = 0
        self._open: defaultdict[str, int] = defaultdict(int)
        self._wallets, self._payments = Wallets(), Payments()
        self._statements = Statements(self._wallets)
        self._texts = KeptTexts()
        self.corrections = Corrections()
        self._minutes: dict[VpsId, int] = {}
        self._paid: dict[VpsId, tuple[PlanId, int]] = {}
        """Which plan was paid last, and until when: it covers no minute of another plan."""
        self._registered: set[AccountId] = set()
        self._closed: set[AccountId] = set()
        self.shapes = Check("every event can be read")
        self.seals = Check("what is personal is sealed for its own account, event and field")
        self.postings = Check("the postings of every event sum to zero, and so does the trial balance")
        self.held = Check("no more was paid out for refunds and disputes than had been taken for them")
        self.minutes = Check("every minute of a VPS was used once, in order, at its price")
        self.claims = Check("every open account holds one e-mail address, and nobody else holds any")

    @property
    def checks(self) -> tuple[Check, ...]:
        """Return the checks that these are."""
        money = (self._wallets, self._payments, self.corrections, self._statements)
        of_money = chain.from_iterable(part.checks for part in money)
        of_texts = self.shapes, self.seals, self._texts.check
        return *of_texts, self.postings, *of_money, self.held, self.minutes, self.claims

    @property
    def open_items(self) -> dict[str, MicroUsd]:
        """Return what is on its way: between customers and Stripe, or held until a refund or dispute is through."""
        return {account: MicroUsd(total) for account, total in sorted(self._open.items()) if total}

    def visit(self, batch: Sequence[Recorded]) -> None:
        """Look at the next events."""
        self.shapes.seen += len(batch)
        self.seals.seen += len(batch)
        for recorded in batch:
            try:
                event = codec.decode(recorded)
                metadata = codec.decode_metadata(recorded)
            except (KeyError, msgspec.MsgspecError) as problem:
                self.shapes.fault(f"position {recorded.position}: {recorded.type} cannot be read: {problem}")
            else:
                for field in codec.misplaced_fields(event, metadata):
                    self.seals.fault(f"position {recorded.position}: {field} was sealed for another place")
                self._texts.visit(recorded, event)
                self._visit(recorded, event)

    def finish(self, evidence: Evidence) -> None:
        """Compare with the claims and the minutes that the store keeps."""
        self.postings.expect(self._trial == 0, f"the trial balance is {self._trial} micro-USD")
        self._wallets.finish()
        self._payments.finish()
        self.corrections.finish()
        self._texts.finish(evidence)
        for account in (chart.REFUNDS_PAYABLE, chart.DISPUTE_RESERVE):
            self.held.expect(self._open[account] <= 0, f"{account}: {self._open[account]} micro-USD too much")
        for vps_id in evidence.minute_heads.keys() | self._minutes.keys():
            kept, last = evidence.minute_heads.get(vps_id), self._minutes.get(vps_id)
            if kept != last:
                self.minutes.fault(f"VPS {vps_id}: its last used minute is {last}, but {kept} is kept as such")
        self._finish_addresses(Counter(evidence.claim_holders.get(EMAIL_CLAIM, ())))

    def _finish_addresses(self, holders: Counter[UUID]) -> None:
        for account_id in self._registered - self._closed:
            self.claims.expect(holders[account_id] == 1, f"account {account_id} holds {holders[account_id]} addresses")
        for account_id in self._registered & self._closed:
            # Closing frees the address for whoever registers with it next.
            held = holders[account_id]
            self.claims.expect(held == 0, f"account {account_id} is closed and still holds {held} addresses")
        for holder in holders.keys() - self._registered:
            self.claims.fault(f"{holder} holds an address and is no account")

    def _visit(self, recorded: Recorded, event: Event) -> None:
        position = recorded.position
        if isinstance(event, AccountRegistered):
            self._registered.add(event.account_id)
        elif isinstance(event, AccountClosed):
            self._closed.add(event.account_id)
        if isinstance(event, MinutesMetered | MinutesWaived):
            self._visit_minutes(position, event)
        else:  # Most events are minutes; they need not be looked at for all that they are not.
            self._payments.visit(position, event)
            self.corrections.visit(position, event)
            self._statements.visit(position, recorded.recorded_at, event)
        self._wallets.visit(position, recorded.recorded_at, event)
        if entries := postings(event):
            total = sum([entry.amount for entry in entries])
            self._trial += total
            self.postings.expect(total == 0, f"position {position}: its postings sum to {total} micro-USD")
            for entry in entries:
                if entry.account in _OPEN_ACCOUNTS:
                    self._open[entry.account] += entry.amount

    def _visit_minutes(self, position: int, event: MinutesMetered | MinutesWaived) -> None:
        paid = isinstance(event, MinutesMetered)
        for line in event.lines:
            used = self._minutes.get(line.vps_id, 0)
            in_order = line.n_from == used + 1 and line.n_to >= line.n_from
            self.minutes.expect(
                in_order,
                f"position {position}: minutes {line.n_from} to {line.n_to} of VPS {line.vps_id} come after {used}",
            )
            self._minutes[line.vps_id] = max(used, line.n_to)
            paid_plan, paid_until = self._paid.get(line.vps_id, (line.plan_id, line.at))
            if line.plan_id == paid_plan and line.at < paid_until:
                self.minutes.fault(f"position {position}: a minute of VPS {line.vps_id} begins while a paid one lasts")
            if paid:
                self._paid[line.vps_id] = line.plan_id, line.at + (line.n_to - line.n_from + 1) * MINUTE
            if in_order and line.amount != charge_for_minutes(line.price_hourly, line.n_from, line.n_to):
                self.minutes.fault(f"position {position}: {line.amount} micro-USD is not the price of its minutes")
