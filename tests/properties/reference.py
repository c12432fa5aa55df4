"""The reference: billing the slow and obvious way, a minute at a time, sharing no code with the product."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from tests.properties.reference_funds import Funds

SIXTY_SECONDS = 60_000_000


@dataclass
class Run:
    """One time that a machine is switched on, from its admission until it is known to be off."""

    start_id: str = ""
    since: int | None = None
    until: int | None = None
    proven: int = -1
    charged_until: int | None = None
    """From here nothing of it is charged, though it runs on: the account was frozen."""
    ended: str = ""
    """Why it could not pay a minute: ``unpaid`` or ``limit``."""
    over: bool = False


@dataclass
class Machine:
    id: UUID
    created: int
    plan: UUID
    runs: list[Run]
    token: UUID | None = None
    begun: list[int] = field(default_factory=list)
    paid_until: int = 0
    """Only what was paid covers a later run."""
    earliest: int = 0

    def next_minute(self) -> int | None:
        """The first instant of this run at which no minute covers it."""
        run = self.runs[-1]
        if run.since is None:
            return None
        begins = max(self.earliest, run.since)
        return begins if run.until is None or begins < run.until else None


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
    def __init__(self) -> None:
        self.funds = Funds()
        self.tokens: dict[UUID, Token] = {}
        self.machines: dict[UUID, Machine] = {}
        self.price_changes: list[tuple[UUID, int, int]] = []
        self.minutes: dict[tuple[UUID, int], tuple[int, str, int]] = {}
        self.shown: dict[str, tuple[int, int]] = {}

    @property
    def balance(self) -> int:
        return self.funds.balance

    def price(self, plan: UUID, at: int) -> int:
        changes = [(since, price) for changed, since, price in self.price_changes if changed == plan]
        effective = [price for since, price in changes if since <= at]
        earliest = min(since for since, _ in changes)
        return effective[-1] if effective else [price for since, price in changes if since == earliest][-1]

    def required(self, plan: UUID, now: int) -> int:
        return self.price(plan, now) + sum(self.price(machine.plan, now) for machine in self.on())

    def on(self) -> Iterator[Machine]:
        for machine in self.machines.values():
            run = machine.runs[-1]
            if run.until is None and run.charged_until is None and not run.ended:
                yield machine

    def refusal(
        self, plan: UUID, now: int, token: UUID | None, *, asked_by: UUID | None
    ) -> tuple[str, dict[str, object]] | None:
        """Return why a machine of this plan and token may not be switched on: code and facts; None where it may."""
        if asked_by is not None and not self.tokens[asked_by].limits(now):
            return "unauthorized", {}
        if asked_by is not None and token != asked_by:
            return "vps_not_created_by_token", {}
        if self.funds.owed:
            return "account_frozen", {"owed": self.funds.owed}
        required = self.required(plan, now)
        if self.balance < required:
            return "insufficient_balance", {"balance": self.balance, "required": required}
        if token is not None and self.tokens[token].limits(now):
            left = self.tokens[token].left(now)
            on = (self.price(machine.plan, now) for machine in self.on() if machine.token == token)
            required = self.price(plan, now) + sum(on)
            if left < required:
                return "token_spend_limit_reached", {"left": left, "required": required}
        return None

    def admit(self, machine_id: UUID, plan: UUID, now: int, token: UUID | None = None) -> None:
        machine = self.machines.setdefault(machine_id, Machine(machine_id, now, plan, [], token))
        machine.runs.append(Run())
        machine.earliest = machine.paid_until

    def freeze(self, now: int) -> None:
        """Charge for nothing that begins from now on, since the account owes something."""
        for machine in list(self.on()):
            machine.runs[-1].charged_until = now

    def login(self, machine_id: UUID, start_id: str, now: int) -> None:
        run = self.machines[machine_id].runs[-1]
        _, last = self.shown.get(start_id, (0, 0))
        run.start_id, run.since, run.proven = start_id, now, max(now, last)

    def observe(self, start_id: str, cpu: int, at: int) -> None:
        last_cpu, last = self.shown.get(start_id, (0, 0))
        if at > last and cpu >= last_cpu:
            self.shown[start_id] = (cpu, at)
            for machine in self.machines.values():
                run = machine.runs[-1]
                if run.start_id == start_id:
                    run.proven = max(run.proven, at)

    def tick(self, now: int) -> list[UUID]:
        """Pay what is due, the earliest first, and return which machines could not."""
        stopped = []
        while due := sorted(self._due(now)):
            _, _, _, machine_id = due[0]
            machine = self.machines[machine_id]
            if not self._pay(machine):
                stopped.append(machine_id)
        return stopped

    def release(self, machine_id: UUID, now: int) -> None:
        run = self.machines[machine_id].runs[-1]
        run.until = now if run.until is None else min(run.until, now)

    def close(self, machine_id: UUID, off_at: int) -> None:
        """The machine is off: its last minutes are paid if they are proven, and waived if not."""
        machine = self.machines[machine_id]
        run = machine.runs[-1]
        if run.over:
            return
        self.release(machine_id, off_at)
        run.over = True
        assert run.until is not None
        frozen = run.charged_until is not None and run.charged_until < run.until
        while (begins := machine.next_minute()) is not None:
            if run.ended:
                self._book(machine, run.ended)
            elif frozen and not self._is_charged(run, begins):
                self._book(machine, "unpaid")
            elif begins > run.proven:
                self._book(machine, "unpaid" if frozen else "unproven")
            else:
                self._pay(machine)

    def _due(self, now: int) -> Iterator[tuple[int, int, bytes, UUID]]:
        for machine in self.machines.values():
            begins, run = machine.next_minute(), machine.runs[-1]
            if (
                begins is not None
                and not run.ended
                and begins <= min(now, run.proven)
                and self._is_charged(run, begins)
            ):
                yield begins, machine.created, machine.id.bytes, machine.id

    def _is_charged(self, run: Run, begins: int) -> bool:
        return run.charged_until is None or begins < run.charged_until

    def _pay(self, machine: Machine) -> bool:
        amount, begins = self._amount(machine), machine.next_minute()
        assert begins is not None
        token = self.tokens.get(machine.token) if machine.token else None
        limited = token is not None and token.limits(begins)
        if token is not None and limited and amount > token.left(begins):
            machine.runs[-1].ended = "limit"
        elif amount > self.balance:
            machine.runs[-1].ended = "unpaid"
        if machine.runs[-1].ended:
            self._book(machine, machine.runs[-1].ended)
            return False
        self.funds.spend(self._book(machine, "paid"))
        if token is not None and limited:
            window = token.window(begins)
            token.spent[window] = token.spent.get(window, 0) + amount
        return True

    def _amount(self, machine: Machine) -> int:
        begins = machine.next_minute()
        assert begins is not None
        hourly, n = self.price(machine.plan, begins), len(machine.begun) + 1
        return hourly * n // 60 - hourly * (n - 1) // 60

    def _book(self, machine: Machine, how: str) -> int:
        amount, begins = self._amount(machine), machine.next_minute()
        assert begins is not None
        machine.begun.append(begins)
        machine.earliest = begins + SIXTY_SECONDS
        if how == "paid":
            machine.paid_until = machine.earliest
        self.minutes[machine.id, len(machine.begun)] = (begins, how, amount)
        return amount
