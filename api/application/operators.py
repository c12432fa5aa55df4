"""What operators do outside of HTTP: making accounts, giving funds, putting money right; recorded like all else."""

from collections.abc import Callable, Mapping
from typing import Literal, get_args
from uuid import UUID

import msgspec

from api.application.repository import CommandContext, Loaded
from api.application.runtime import Runtime
from api.application.streams import events_between
from domain.accounts import account as accounts
from domain.accounts.commands import RegisterAccount
from domain.accounts.emails import checked_email, email_form
from domain.accounts.events import Role
from domain.accounts.passwords import checked_password
from domain.codec import decode, decode_metadata
from domain.compute import capacity
from domain.compute.capacity import Reservations, capacity_ref
from domain.compute.host import host_ref, label, overcommit
from domain.deciding import Decision, recorded_in
from domain.errors import Invalid, NotFound
from domain.events import Actor, Event
from domain.ids import AccountId, EventId, HostId, wallet_stream
from domain.money import MicroUsd
from domain.ports import Claim, ClaimTaken
from domain.time import Instant
from domain.wallet import paid_in, vps_limits
from domain.wallet.commands import CreditFunds
from domain.wallet.events import DebtWrittenOff
from domain.wallet.funds import credit_funds
from domain.wallet.vps_limits import SetVpsLimits
from domain.wallet.wallet import Wallet, wallet_ref

ROLES: tuple[Role, ...] = get_args(Role)
OPERATOR = Actor(kind="operator", part="command line")
CORRECTION_CLAIM = "correction"
"""The scope of claims on the ids of corrections: one that is typed again puts nothing right twice."""
LOOKED_THROUGH_AT_ONCE = 1_000
"""Events of a wallet that are looked through for one at a time."""


class Correction(msgspec.Struct, frozen=True):
    """What is to be put right: by how much the balance moves, for which earlier event of the wallet, and why."""

    correction_id: UUID
    corrects: EventId
    amount: MicroUsd
    reason: str


class Corrected(msgspec.Struct, frozen=True):
    """What came of a correction."""

    balance: MicroUsd
    applied: bool
    """False where the same correction had been recorded before."""


async def create_account(runtime: Runtime, email: str, password: str, roles: tuple[Role, ...] = ()) -> AccountId:
    """Make an account and its wallet; return its id. Raises Invalid or EmailTaken."""
    email_key = runtime.sealer.keyed_hash(accounts.EMAIL_CLAIM, checked_email(email))
    password = checked_password(password)
    account_id = AccountId(runtime.ids.new())
    password_hash = await runtime.passwords.hash(password)
    command = RegisterAccount(account_id, email, email_key, password_hash, roles)
    context = CommandContext(actor=OPERATOR, account_id=account_id, step="register")
    refs = (accounts.account_ref(account_id), wallet_ref(account_id))
    try:
        await runtime.aggregates.execute(refs, lambda _loaded, _now: accounts.register(command), context)
    except ClaimTaken:
        raise accounts.EmailTaken from None
    return account_id


async def find_account(runtime: Runtime, email: str) -> AccountId:
    """Return the open account that has an e-mail address. Raises NotFound."""
    email_key = runtime.sealer.keyed_hash(accounts.EMAIL_CLAIM, email_form(email))
    claim = await runtime.store.find_claim(accounts.EMAIL_CLAIM, email_key)
    if claim is None:
        raise NotFound
    return AccountId(claim.holder)


async def credit(runtime: Runtime, account_id: AccountId, amount: MicroUsd, reason: str) -> MicroUsd:
    """Give an account funds, as goodwill; return its balance after. Raises Invalid."""
    wallet = wallet_ref(account_id)
    command = CreditFunds(credit_id=runtime.ids.new(), amount=amount, reason=reason)
    outcome = await runtime.aggregates.execute(
        (wallet,),
        lambda loaded, _now: recorded_in(wallet.stream, *credit_funds(loaded.of(wallet), command)),
        CommandContext(actor=OPERATOR, account_id=account_id, step="credit"),
    )
    return outcome.loaded.of(wallet).balance


async def correct(runtime: Runtime, account_id: AccountId, correction: Correction) -> Corrected:
    """Put right what an earlier event of an account's wallet did, once for each id of a correction.

    Raises NotFound for an event that is not of this wallet, Invalid, or InsufficientBalance.
    """
    wallet = wallet_ref(account_id)
    key = correction.correction_id.bytes
    if await _is_recorded(runtime, account_id, key):
        return Corrected((await runtime.aggregates.load(wallet)).of(wallet).balance, applied=False)
    earlier = await _find_in_wallet(runtime, account_id, correction.corrects)

    def decided(wallet: Wallet) -> tuple[Event, ...]:
        return paid_in.correct(
            wallet, correction.correction_id, correction.corrects, earlier, correction.amount, correction.reason
        )

    try:
        outcome = await runtime.aggregates.execute(
            (wallet,),
            lambda loaded, _now: Decision(
                tuple((wallet.stream, event) for event in decided(loaded.of(wallet))),
                (Claim(CORRECTION_CLAIM, key, account_id),),
            ),
            CommandContext(actor=OPERATOR, account_id=account_id, cause=correction.corrects, step="correct"),
        )
    except ClaimTaken:
        return await correct(runtime, account_id, correction)
    return Corrected(outcome.loaded.of(wallet).balance, applied=True)


async def write_off(runtime: Runtime, account_id: AccountId, reason: str) -> MicroUsd:
    """Give up what an account owes; return how much that was. Raises NothingOwed or Invalid."""
    wallet = wallet_ref(account_id)
    outcome = await runtime.aggregates.execute(
        (wallet,),
        lambda loaded, _now: recorded_in(wallet.stream, *paid_in.write_off(loaded.of(wallet), reason)),
        CommandContext(actor=OPERATOR, account_id=account_id, step="write-off"),
    )
    return MicroUsd(sum(event.amount for _, event in outcome.events if isinstance(event, DebtWrittenOff)))


async def set_vps_limits(
    runtime: Runtime,
    account_id: AccountId,
    vps_max: int | Literal["default"] | None,
    vps_disk_gb_max: int | Literal["default"] | None,
    reason: str,
) -> None:
    """Give an account limits of its own; ``default``: those of every other; None: as it is. Raises Invalid."""
    ref = wallet_ref(account_id)

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        wallet = loaded.of(ref)
        command = SetVpsLimits(
            _changed(vps_max, wallet.vps_max), _changed(vps_disk_gb_max, wallet.vps_disk_gb_max), reason
        )
        return recorded_in(ref.stream, *vps_limits.set_vps_limits(wallet, command))

    await runtime.aggregates.execute([ref], decide, CommandContext(actor=OPERATOR, account_id=account_id, step="limit"))


async def set_overcommit(
    runtime: Runtime,
    host_id: HostId,
    cpu_percent: int | Literal["default"] | None,
    disk_percent: int | Literal["default"] | None,
) -> None:
    """Say how far beyond what a host has may be promised; as in ``set_vps_limits``. Raises NotFound or Invalid."""
    ref = host_ref(host_id)

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        host = loaded.of(ref)
        if host is None:
            raise NotFound
        cpu, disk = _changed(cpu_percent, host.cpu_percent), _changed(disk_percent, host.disk_percent)
        return recorded_in(ref.stream, *overcommit(host, cpu, disk))

    await runtime.aggregates.execute([ref], decide, CommandContext(actor=OPERATOR, step="overcommit"))


async def drain_host(runtime: Runtime, host_id: HostId) -> bool:
    """Have no new VPS placed on a host; return whether it was not so before. What is there stays. Raises NotFound."""
    return await _change_reservations(runtime, host_id, capacity.drain, "drain")


async def undrain_host(runtime: Runtime, host_id: HostId) -> bool:
    """Have new VPSs placed on a host again; return whether it was drained. Raises NotFound."""
    return await _change_reservations(runtime, host_id, capacity.undrain, "undrain")


async def label_host(runtime: Runtime, host_id: HostId, changes: Mapping[str, str | None]) -> dict[str, str]:
    """Change labels of a host, None takes one away; return all that it has then. Raises NotFound or Invalid."""
    ref = host_ref(host_id)

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        host = loaded.of(ref)
        if host is None:
            raise NotFound
        merged = {**host.labels, **changes}
        return recorded_in(ref.stream, *label(host, {key: value for key, value in merged.items() if value is not None}))

    outcome = await runtime.aggregates.execute([ref], decide, CommandContext(actor=OPERATOR, step="label"))
    labelled = outcome.loaded.of(ref)
    assert labelled is not None
    return labelled.labels


async def _change_reservations(
    runtime: Runtime, host_id: HostId, change: Callable[[Reservations, HostId, Instant], tuple[Event, ...]], step: str
) -> bool:
    ref, reserved = host_ref(host_id), capacity_ref(host_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        if loaded.of(ref) is None:
            raise NotFound
        return recorded_in(reserved.stream, *change(loaded.of(reserved), host_id, now))

    context = CommandContext(actor=OPERATOR, step=step)
    return bool((await runtime.aggregates.execute([ref, reserved], decide, context)).events)


def _changed(given: int | Literal["default"] | None, before: int | None) -> int | None:
    return before if given is None else None if given == "default" else given


async def _is_recorded(runtime: Runtime, account_id: AccountId, key: bytes) -> bool:
    claim = await runtime.store.find_claim(CORRECTION_CLAIM, key)
    if claim is not None and claim.holder != account_id:
        raise Invalid(fields={"id": "is that of a correction of another account"})
    return claim is not None


async def _find_in_wallet(runtime: Runtime, account_id: AccountId, event_id: EventId) -> Event:
    """Return an event of an account's wallet by its id, the newest looked at first. Raises NotFound."""
    wallet = wallet_ref(account_id)
    until = (await runtime.aggregates.load(wallet)).version(wallet.stream)
    while until:
        after = max(0, until - LOOKED_THROUGH_AT_ONCE)
        async for recorded in events_between(runtime.store, wallet_stream(account_id), after, until):
            if decode_metadata(recorded).id == event_id:
                return decode(recorded)
        until = after
    raise NotFound
