"""The quick start as a walk: each request and its answer shown, each promise checked on the way."""

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec
from rich.console import Console

from domain.money import MICROS_PER_USD, MicroUsd, charge_for_minutes, exact_usd, floor_to_four_decimals, parse_usd

PAID_TIMEOUT_S = 30.0
RUNNING_TIMEOUT_S = 300.0
METERED_TIMEOUT_S = 180.0
REQUEST_TIMEOUT_S = 60.0
POLL_S = 1.0
FUNDS = MicroUsd(10_000_000)
COMMAND = "uname -a"
CAPTCHA_TOKEN = "XXXX.DUMMY.TOKEN.XXXX"  # noqa: S105 What Cloudflare documents for tests; development mode takes it.
STAND_IN = "/development/stripe/"
"""In the address of a checkout page that moves no money."""
BALANCE_HEADER = "X-Balance-Remaining"

_SECRET = re.compile(r'("(?:password|token)": ")[^"]*')
_decoder = msgspec.json.Decoder(float_hook=str)
"""Leaves amounts as they are written: not one of them becomes a float."""

Answer = dict[str, Any]
Credit = Callable[[str, MicroUsd], Awaitable[None]]
"""Gives the account with an e-mail address funds, as its operator."""


class PromiseBroken(Exception):
    """The service did not do what it says it does; the text tells what was seen."""


class SmokeTest:
    """A customer with a new account, who shows what she does."""

    def __init__(self, client: httpx.AsyncClient, console: Console, credit: Credit) -> None:
        self._client = client
        self._console = console
        self._credit = credit
        self._email = f"demo-{secrets.token_hex(4)}@example.com"
        self._password = secrets.token_urlsafe(12)
        self._headers: dict[str, str] = {}
        self._price = MicroUsd(0)

    async def go(self) -> None:
        """Do the quick start from registration to deletion. Raises PromiseBroken."""
        self._title("1. Register, and log in")
        await self._become_customer()
        self._title("2. Pay in funds, and choose a plan")
        await self._pay_in()
        plan_id = await self._cheapest_plan()
        self._title("3. Create a VPS, and wait until it runs")
        vps_id = await self._create(plan_id)
        await self._wait_until_running(vps_id)
        self._title("4. Run a command in it")
        await self._run_command(vps_id)
        self._title("5. See what the first minute cost")
        await self._wait_for_a_metered_minute(vps_id)
        self._title("6. Delete it")
        await self._delete(vps_id)
        self._title("7. See the statement of the month")
        await self._show_statement()

    async def _become_customer(self) -> None:
        who = {"email": self._email, "password": self._password}
        await self._ask("POST", "/api/auth/register", who | {"cf-turnstile-response": CAPTCHA_TOKEN}, expect=201)
        login = await self._ask("POST", "/api/auth/login", who)
        self._headers = {"Authorization": f"Bearer {login['token']}"}

    async def _pay_in(self) -> None:
        checkout = await self._ask("POST", "/api/billing/add-funds", {"amount": FUNDS // MICROS_PER_USD})
        if STAND_IN not in checkout["url"]:
            self._console.print("nobody pays here by himself: the operator gives the funds instead", style="dim")
            return await self._credit(self._email, FUNDS)
        self._console.print(f"\n→ press Pay at {checkout['url']}", style="cyan")
        await self._client.post(checkout["url"], data={"choice": "pay"})

        async def credited() -> bool:
            return bool((await self._ask("GET", "/api/me", shown=False))["balance_micros"] == FUNDS)

        await _until(credited, PAID_TIMEOUT_S, "what was paid was not credited")
        return None

    async def _cheapest_plan(self) -> str:
        me = await self._ask("GET", "/api/me")
        _hold(me["balance_micros"] == FUNDS, f"the balance is {me['balance_micros']}, not {FUNDS} micro-USD")
        plans = await self._ask("GET", "/api/pricing")
        _hold(bool(plans), "there is no plan to buy")
        plan = min(plans, key=lambda one: _micros(one["price_hourly"]))
        self._price = _micros(plan["price_hourly"])
        return str(plan["id"])

    async def _create(self, plan_id: str) -> str:
        vps = await self._ask("POST", "/api/vps", {"name": "my-vm", "plan_id": plan_id}, expect=201)
        _hold(vps["state"] == "creating", f"the state is {vps['state']}, not creating")
        return str(vps["id"])

    async def _wait_until_running(self, vps_id: str) -> None:
        began_s = time.monotonic()

        async def runs() -> bool:
            vps = await self._ask("GET", f"/api/vps/{vps_id}", shown=False)
            _hold(vps["state"] in ("creating", "running"), f"the VPS is in state {vps['state']}: {vps.get('error')}")
            return bool(vps["state"] == "running")

        await _until(runs, RUNNING_TIMEOUT_S, "the VPS did not come to run")
        self._console.print(f"running after {time.monotonic() - began_s:.1f} s", style="green")
        await self._ask("GET", f"/api/vps/{vps_id}")

    async def _run_command(self, vps_id: str) -> None:
        answer = await self._ask("POST", f"/api/vps/{vps_id}/exec", {"command": COMMAND})
        _hold(answer["exit_code"] == 0, f"{COMMAND} ended with {answer['exit_code']}")
        _hold({"stdout", "stderr", "exit_code", "duration_ms"} <= answer.keys(), "fields are missing in the answer")

    async def _wait_for_a_metered_minute(self, vps_id: str) -> None:
        self._console.print("a minute is charged once the host is seen to have run it …", style="dim")

        async def metered() -> bool:
            vps = await self._ask("GET", f"/api/vps/{vps_id}", shown=False)
            return bool(vps["metered_minutes"] >= 1)

        await _until(metered, METERED_TIMEOUT_S, "no minute was metered")
        # Another minute may fall due between two requests: the VPS is asked for before and after.
        for _ in range(3):
            before = await self._ask("GET", f"/api/vps/{vps_id}")
            me = await self._ask("GET", "/api/me")
            after = await self._ask("GET", f"/api/vps/{vps_id}", shown=False)
            if before["metered_minutes"] == after["metered_minutes"]:
                return self._check_arithmetic(before["metered_minutes"], _micros(before["cost"]), me["balance_micros"])
        raise PromiseBroken("minutes fall due faster than they can be looked at")

    def _check_arithmetic(self, minutes: int, cost: MicroUsd, balance: int) -> None:
        charged = charge_for_minutes(self._price, 1, minutes)
        self._console.print(
            f"{minutes} minute(s) at {exact_usd(self._price)} USD an hour:"
            f" floor({self._price} · {minutes} / 60) = {charged} micro-USD\n"
            f"{FUNDS} − {charged} = {FUNDS - charged} micro-USD; the balance is {balance}",
            style="bold",
        )
        _hold(cost == charged, f"the VPS tells a cost of {cost} micro-USD")
        _hold(balance == FUNDS - charged, "the balance is not what was paid in less what was charged")

    async def _delete(self, vps_id: str) -> None:
        await self._ask("DELETE", f"/api/vps/{vps_id}", expect=204)
        await self._ask("GET", f"/api/vps/{vps_id}", expect=404)
        me = await self._ask("GET", "/api/me")
        minutes = 1
        while charge_for_minutes(self._price, 1, minutes) < FUNDS - me["balance_micros"]:
            minutes += 1
        charged = charge_for_minutes(self._price, 1, minutes)
        _hold(me["balance_micros"] == FUNDS - charged, "the balance after the end is no sum of whole minutes")
        self._console.print(f"it ran for {minutes} minute(s) in all: {charged} micro-USD", style="bold")

    async def _show_statement(self) -> None:
        month = time.strftime("%Y-%m", time.gmtime())
        answer = await self._ask("GET", f"/api/billing/statements/{month}")
        moved = sum(_micros(entry["amount"]) for entry in answer["entries"])
        opening, closing = answer["opening_micros"], answer["closing_micros"]
        self._console.print(
            f"{opening} + {moved} = {opening + moved} micro-USD; it closes with {closing}", style="bold"
        )
        _hold(opening + moved == closing, "the entries do not lead from the opening to the closing balance")
        _hold(_micros(answer["charges"]) == FUNDS - closing, "the charges are not what was paid in less what is left")

    async def _ask(
        self, method: str, path: str, body: Answer | None = None, *, expect: int = 200, shown: bool = True
    ) -> Any:
        if shown:
            self._console.print(f"\n→ {method} {path}", style="cyan")
            self._show(b"" if body is None else msgspec.json.encode(body))
        response = await self._client.request(method, path, json=body, headers=self._headers, timeout=REQUEST_TIMEOUT_S)
        balance = response.headers.get(BALANCE_HEADER)
        if shown or response.status_code != expect:
            header = f"   {BALANCE_HEADER}: {balance}" if balance is not None else ""
            self._console.print(f"← {response.status_code}{header}", style="cyan")
            self._show(response.content)
        answer: Any = _decoder.decode(response.content) if response.content else None
        _hold(response.status_code == expect, f"{method} {path} answered {response.status_code}, not {expect}")
        if path == "/api/me":
            floored = floor_to_four_decimals(MicroUsd(answer["balance_micros"]))
            _hold(balance == floored, f"{BALANCE_HEADER} says {balance}, not {floored}")
        return answer

    def _show(self, content: bytes) -> None:
        if content:
            self._console.print(_SECRET.sub(r"\1…", msgspec.json.format(content, indent=2).decode()), markup=False)

    def _title(self, text: str) -> None:
        self._console.rule(text, align="left")


async def _until(reached: Callable[[], Awaitable[bool]], timeout_s: float, otherwise: str) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not await reached():
        if time.monotonic() > deadline_s:
            raise PromiseBroken(f"{otherwise} within {timeout_s:.0f} s")
        await asyncio.sleep(POLL_S)


def _hold(holds: bool, otherwise: str) -> None:
    if not holds:
        raise PromiseBroken(otherwise)


def _micros(usd: object) -> MicroUsd:
    return parse_usd(str(usd))
