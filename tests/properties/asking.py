"""What an owner and the owner's tokens ask of a house, in any order."""

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from domain.accounts.account import Unauthorized
from domain.compute.vps import VpsIsCreating, VpsIsStopping
from domain.errors import NotFound, Refusal
from domain.events import Event
from domain.ids import TokenId, VpsId
from domain.ports import ClaimTaken
from domain.time import MINUTE, Instant
from domain.wallet.boots import FAILED_STARTS_OF_ACCOUNT_MAX, TooManyFailedStarts, check_boots
from domain.wallet.events import LimitWindow
from domain.wallet.funds import AccountFrozen, InsufficientBalance, TokenSpendLimitReached, VpsOfAnother
from domain.wallet.wallet import Wallet
from tests.properties.comparison import Comparison
from tests.properties.house import new_credit_id
from tests.properties.reference import Token

MOSTLY = st.sampled_from([True, True, True, False])
VPSS_MAX = 6
TOKENS_MAX = 3
WHICH = st.integers(0, VPSS_MAX - 1)
BY = st.sampled_from([0, 0, 1, 2, 3])
"""Who asks: a session, or one of the tokens."""
REFUSALS = (AccountFrozen, InsufficientBalance, TokenSpendLimitReached, Unauthorized, VpsOfAnother)


class Asking(Comparison):
    """Funds, tokens, and VPSs that are wanted."""

    @rule(amount=st.integers(1, 20_000), repeated=st.booleans())
    def credit(self, amount: int, repeated: bool) -> None:
        credit_id = new_credit_id()
        self.run(self.house.credit(credit_id, amount))
        if repeated:
            self.crash()
            with pytest.raises(ClaimTaken):
                self.run(self.house.credit(credit_id, amount))
        self.reference.funds.come_in(amount, given=amount)

    @precondition(lambda self: len(self.vpss) < VPSS_MAX)
    @rule(plan=st.integers(0, 1), repeated=st.booleans(), on=MOSTLY, by=BY)
    def create(self, plan: int, repeated: bool, on: bool, by: int = 0) -> None:
        vps_id, plan_id, now = VpsId(self.house.ids.new()), self.plans[plan], self.clock.now()
        token_id = self.token(by)
        refusal = self.reference.refusal(plan_id, now, token_id, asked_by=token_id)
        before = self.run(self.house.wallet_now())
        if too_many_failed(before, vps_id, now):
            return  # Of boots, the reference knows nothing.
        if refusal is not None:
            with pytest.raises(REFUSALS) as refused:
                self.run(self.house.create(vps_id, plan_id, token_id=token_id))
            assert told(refused.value) == refusal
            assert self.run(self.house.wallet_now()) == before, "a refused request leaves everything as it was"
            return
        self.run(self.house.create(vps_id, plan_id, token_id=token_id))
        if repeated:
            self.crash()
            assert self.run(self.house.create(vps_id, plan_id, token_id=token_id)).events == ()
        self.vpss.append(vps_id)
        self.reference.admit(vps_id, plan_id, now, token_id)
        if on:
            self.boot(self.vpss.index(vps_id), until_login=True, fails=False)

    @precondition(lambda self: len(self.tokens) < TOKENS_MAX)
    @rule(
        limit=st.integers(1, 20_000),
        window=st.sampled_from(["total", "month"]),
        lives=st.one_of(st.none(), st.integers(1, 5 * 60 * MINUTE)),
    )
    def create_token(self, limit: int, window: LimitWindow, lives: int | None) -> None:
        expires_at = None if lives is None else self.clock.now() + lives
        token_id = self.run(self.house.create_token(limit, window, expires_at))
        self.tokens.append(token_id)
        self.reference.tokens[token_id] = Token(limit, window == "month", expires_at)

    @precondition(lambda self: any(not token.revoked for token in self.reference.tokens.values()))
    @rule(which=WHICH)
    def revoke_token(self, which: int) -> None:
        good = [token_id for token_id in self.tokens if not self.reference.tokens[token_id].revoked]
        token_id = good[which % len(good)]
        self.run(self.house.revoke_token(token_id))
        self.reference.tokens[token_id].revoked = True

    def token(self, by: int) -> TokenId | None:
        """Return the token that asks: none of them for 0."""
        return self.tokens[by % len(self.tokens)] if by and self.tokens else None

    @precondition(lambda self: self.vpss)
    @rule(
        which=WHICH,
        verb=st.sampled_from(["stop", "stop", "start", "start", "delete"]),
        repeated=st.booleans(),
        by=BY,
    )
    def ask(self, which: int, verb: str, repeated: bool, by: int = 0) -> None:
        vps_id, now = self.vpss[which % len(self.vpss)], self.clock.now()
        machine, token_id = self.reference.machines[vps_id], self.token(by)
        refusal = self.reference.refusal(machine.plan, now, machine.token, asked_by=token_id)
        before = self.run(self.house.wallet_now())
        answer = self.answer(verb, vps_id, token_id)
        if isinstance(answer, Refusal):
            assert self.run(self.house.wallet_now()) == before, "a refused request leaves everything as it was"
            if isinstance(answer, REFUSALS):
                assert told(answer) == refusal
            return
        if repeated and verb != "delete":
            self.crash()
            assert self.run(self.house.ask(verb, vps_id, asked_by=token_id)).events == ()
        if answer and verb == "start":
            assert refusal is None
            self.reference.admit(vps_id, machine.plan, now)
        elif answer:
            self.reference.release(vps_id, now)

    @precondition(lambda self: len(self.vpss) < VPSS_MAX)
    @rule(count=st.integers(2, 4), plan=st.integers(0, 1), by=BY)
    def create_many_at_once(self, count: int, plan: int, by: int) -> None:
        plan_id, now, token_id = self.plans[plan], self.clock.now(), self.token(by)
        vps_ids = [VpsId(self.house.ids.new()) for _ in range(min(count, VPSS_MAX - len(self.vpss)))]

        async def all_at_once() -> list[object]:
            creating = (self.house.create(vps_id, plan_id, self.house.started(), token_id) for vps_id in vps_ids)
            return await asyncio.gather(*creating, return_exceptions=True)

        results = self.run(all_at_once())
        for vps_id, result in zip(vps_ids, results, strict=True):
            if not isinstance(result, BaseException):
                assert self.reference.refusal(plan_id, now, token_id, asked_by=token_id) is None
                self.vpss.append(vps_id)
                self.reference.admit(vps_id, plan_id, now, token_id)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, TooManyFailedStarts):
                assert isinstance(result, REFUSALS)
                assert self.reference.refusal(plan_id, now, token_id, asked_by=token_id) is not None

    def answer(self, verb: str, vps_id: VpsId, asked_by: TokenId | None) -> list[Event] | Refusal:
        try:
            return [event for _, event in self.run(self.house.ask(verb, vps_id, asked_by=asked_by)).events]
        except (*REFUSALS, TooManyFailedStarts, VpsIsCreating, VpsIsStopping, NotFound) as refusal:
            return refusal


def too_many_failed(wallet: Wallet, vps_id: VpsId, now: Instant) -> bool:
    """Return whether a VPS is not switched on for what its account's guests booted in vain."""
    try:
        check_boots(wallet.boots, vps_id, FAILED_STARTS_OF_ACCOUNT_MAX, now)
    except TooManyFailedStarts:
        return True
    return False


def told(refusal: Refusal) -> tuple[str, dict[str, object]]:
    """Return what a caller is told, as the reference tells it."""
    return refusal.code, dict(refusal.facts)
