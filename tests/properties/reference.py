"""The reference: billing the slow and obvious way, a minute at a time, sharing no code with the product."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from tests.properties.reference_funds import Funds
from tests.properties.reference_minutes import How, Life, Minute, Start, charge


@dataclass
class Token:
    """What VPSs of one token may cost in each of its windows, until it is revoked or expires."""

    limit: int
    monthly: bool
    expires_at: int | None
    revoked: bool = False
    spent: dict[str, int] = field(default_factory=dict)

    def window(self, at: int) -> str:
        return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m") if self.monthly else ""

    def limits(self, at: int) -> bool:
        return not self.revoked and (self.expires_at is None or at < self.expires_at)

    def left(self, at: int) -> int:
        return self.limit - self.spent.get(self.window(at), 0)


class Reference:
    """An account's money and VPSs. Its methods are told what happened; what is paid and refused follows from that."""

    def __init__(self) -> None:
        self.funds = Funds()
        self.tokens: dict[UUID, Token] = {}
        self.machines: dict[UUID, Life] = {}
        self.price_changes: list[tuple[UUID, int, int]] = []
        self.shown: dict[str, tuple[int, int]] = {}
        """What the host last showed of a start, by the start's own name: CPU time, and when."""
        self.started_as: dict[str, Start] = {}

    @property
    def balance(self) -> int:
        return self.funds.balance

    @property
    def minutes(self) -> dict[tuple[UUID, int], tuple[int, str, int]]:
        """Every minute there is: when it began, paid or why not, and its amount."""
        return {
            (life.id, minute.n): (minute.at, minute.how, minute.amount)
            for life in self.machines.values()
            for minute in life.minutes
        }

    def price(self, plan: UUID, at: int) -> int:
        """Return the price in force at an instant: for one before all of them, that with which the plan was made.

        The contract says "the plan version in force at t(n)". A later one is not, however early its instant.
        """
        changes = [(since, price) for changed, since, price in self.price_changes if changed == plan]
        effective = [price for since, price in changes if since <= at]
        return effective[-1] if effective else changes[0][1]

    def required(self, plan: UUID, now: int) -> int:
        return self.price(plan, now) + sum(self.price(life.plan, now) for life in self.on())

    def on(self) -> Iterator[Life]:
        return (life for life in self.machines.values() if life.is_on())

    def refusal(
        self, plan: UUID, now: int, token: UUID | None, *, asked_by: UUID | None
    ) -> tuple[str, dict[str, object]] | None:
        """Return why a VPS of this plan and token may not be switched on: code and facts; None where it may."""
        if asked_by is not None and not self.tokens[asked_by].limits(now):
            return "unauthorized", {}
        if asked_by is not None and token != asked_by:
            return "vps_not_created_by_token", {}
        if token is not None and self.tokens[token].limits(now):
            left = self.tokens[token].left(now)
            on = (self.price(life.plan, now) for life in self.on() if life.token == token)
            of_token = self.price(plan, now) + sum(on)
            if left < of_token:
                return "token_spend_limit_reached", {"left": left, "required": of_token}
        required = self.required(plan, now)
        if self.funds.owed:
            return "account_frozen", {"owed": self.funds.owed, **cure(self.funds.owed + required)}
        if self.balance < required:
            lacking = cure(required - self.balance)
            return "insufficient_balance", {"balance": self.balance, "required": required, **lacking}
        return None

    def admit(self, vps_id: UUID, plan: UUID, now: int, token: UUID | None = None) -> None:
        self.machines.setdefault(vps_id, Life(vps_id, now, plan, token)).starts.append(Start())

    def freeze(self, now: int) -> None:
        """Charge for nothing that begins from now on, since the account owes something."""
        for life in list(self.on()):
            life.starts[-1].free_from = now

    def login(self, vps_id: UUID, start_id: str, now: int) -> None:
        """A login shows the guest on, as an observation does."""
        start = self.machines[vps_id].starts[-1]
        _, last = self.shown.get(start_id, (0, -1))
        start.login, start.proven_until = now, max(now, last)
        self.started_as[start_id] = start

    def observe(self, start_id: str, cpu: int, at: int) -> None:
        """Two observations of one start, CPU time not lower, prove the time between them.

        CPU time of one start never falls: what shows less than before is taken for no observation of this start.
        """
        last_cpu, last = self.shown.get(start_id, (0, 0))
        if at > last and cpu >= last_cpu:
            self.shown[start_id] = (cpu, at)
            if start_id in self.started_as:
                start = self.started_as[start_id]
                start.proven_until = max(start.proven_until, at)

    def tick(self, now: int) -> list[UUID]:
        """Settle what is due, by t(n), creation, id; return which VPSs are to be stopped for it."""
        stopped = []
        while due := sorted(self._due(now)):
            life = self.machines[due[0][-1]]
            if self._settle(life) != "paid":
                stopped.append(life.id)
        return stopped

    def release(self, vps_id: UUID, now: int) -> None:
        """A stop or delete was accepted."""
        start = self.machines[vps_id].starts[-1]
        start.off_wanted_at = now if start.off_wanted_at is None else min(start.off_wanted_at, now)

    def close(self, vps_id: UUID, off_at: int) -> None:
        """The host shows it off: no proof is to come, so what is left of it is settled."""
        life = self.machines[vps_id]
        start = life.starts[-1]
        if start.shown_off_at is None:
            start.shown_off_at = off_at
            while life.next_minute() is not None:
                self._settle(life)

    def _due(self, now: int) -> Iterator[tuple[int, int, bytes, UUID]]:
        """Yield what has begun, is proven and is charged. What is to be waived waits for the host to show it off."""
        for life in self.machines.values():
            following = life.next_minute()
            if following is not None:
                at, start = following
                if at <= min(now, start.proven_until) and start.is_charged(at):
                    yield at, life.created, life.id.bytes, life.id

    def _settle(self, life: Life) -> How:
        """Pay the next minute of a VPS, or waive it, and have the VPS stopped if it could not be paid."""
        following = life.next_minute()
        assert following is not None
        at, start = following
        n = len(life.minutes) + 1
        amount = charge(self.price(life.plan, at), n)
        how = self._how(life, start, at, amount)
        life.minutes.append(Minute(n, at, start, how, amount))
        if how == "paid":
            self.funds.spend(amount)
            if (token := self._limiting(life, at)) is not None:
                window = token.window(at)
                token.spent[window] = token.spent.get(window, 0) + amount
        return how

    def _how(self, life: Life, start: Start, at: int, amount: int) -> How:
        if start.stopped_for is not None:
            return start.stopped_for
        if not start.is_charged(at):
            return "unpaid"
        if at > start.proven_until:
            return "unproven" if start.free_from is None else "unpaid"
        token = self._limiting(life, at)
        if token is not None and amount > token.left(at):
            start.stopped_for = "limit"
        elif amount > self.balance:
            start.stopped_for = "unpaid"
        return start.stopped_for or "paid"

    def _limiting(self, life: Life, at: int) -> Token | None:
        """Return the token whose limit counts for a minute; whether it has expired is judged at t(n)."""
        token = self.tokens.get(life.token) if life.token else None
        return token if token is not None and token.limits(at) else None


def cure(shortfall: int) -> dict[str, object]:
    """Return what is lacking, and the least top-up that covers it: 5.00 USD or more, in whole cents."""
    return {"shortfall": shortfall, "top_up": max(5_000_000, shortfall + -shortfall % 10_000)}
