"""A key that was erased stays erased, whoever is reading it meanwhile."""

import asyncio
from collections.abc import Collection

import pytest

from adapters.sealing import sealer as sealing
from adapters.sealing.key_tables import KeyTable, MemoryKeyTable, Wrapped
from adapters.sealing.sealer import AccountSealer
from domain.events import ERASED
from domain.ids import AccountId
from domain.sealed import AccountIsErased
from tests.adapters.sealing.conftest import ALICE, ANOTHER_EVENT, BOB, EVENT, MASTER, Hands
from tests.sealed_text import opened

pytestmark = pytest.mark.anyio


async def test_an_erased_key_erases_what_it_sealed(sealer: AccountSealer) -> None:
    sealed, of_bob = sealer.seal(ALICE, EVENT, "email", "alice"), sealer.seal(BOB, EVENT, "email", "bob")

    await sealer.erase(ALICE)

    assert opened(sealer, sealed) == ERASED
    assert opened(sealer, of_bob) == "bob"


async def test_no_second_key_is_ever_made_for_an_erased_account(sealer: AccountSealer, keys: KeyTable) -> None:
    sealed = sealer.seal(ALICE, EVENT, "email", "alice")
    await sealer.erase(ALICE)

    another = AccountSealer(MASTER, keys)
    await another.load([ALICE], create=True)

    with pytest.raises(AccountIsErased):
        another.seal(ALICE, ANOTHER_EVENT, "address", "192.0.2.1")
    assert opened(another, sealed) == ERASED
    assert another.unseal(ALICE, EVENT, "email", ERASED) == ERASED


async def test_a_key_that_another_process_erased_stops_working_here_soon(
    sealer: AccountSealer, keys: KeyTable, clock: Hands
) -> None:
    sealed = sealer.seal(ALICE, EVENT, "email", "alice")
    await AccountSealer(MASTER, keys).erase(ALICE)

    clock.now_s += sealing.RECHECK_AFTER_S
    await sealer.load([ALICE])

    assert opened(sealer, sealed) == ERASED


class SlowKeys(MemoryKeyTable):
    """Answers what was there when it was asked, and only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def read(self, account_ids: Collection[AccountId]) -> dict[AccountId, Wrapped]:
        kept = await super().read(account_ids)
        self.asked.set()
        await self.may_answer.wait()
        return kept


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("erased_by", ["this process", "another process"])
async def test_a_key_that_is_erased_while_it_is_read_does_not_come_back(erased_by: str, create: bool) -> None:
    keys = SlowKeys()
    keys.may_answer.set()
    maker, sealer = AccountSealer(MASTER, keys), AccountSealer(MASTER, keys)
    await maker.load([ALICE], create=True)
    sealed = maker.seal(ALICE, EVENT, "email", "alice")
    keys.may_answer.clear()
    keys.asked.clear()
    loading = asyncio.create_task(sealer.load([ALICE], create=create))
    await keys.asked.wait()

    if erased_by == "this process":
        await sealer.erase(ALICE)
    else:
        await maker.erase(ALICE)
        sealer.forget(ALICE)
    keys.may_answer.set()
    await loading

    assert opened(sealer, sealed) == ERASED
    with pytest.raises(AccountIsErased):
        sealer.seal(ALICE, EVENT, "email", "alice")


async def test_after_notices_may_have_been_missed_every_key_is_looked_up_anew(
    sealer: AccountSealer, keys: KeyTable, clock: Hands
) -> None:
    sealed = sealer.seal(ALICE, EVENT, "email", "alice")
    clock.now_s += 1
    await AccountSealer(MASTER, keys).erase(ALICE)

    sealer.forget()
    assert opened(sealer, sealed) == "alice", "what was loaded stays at hand for who loaded it"
    await sealer.load([ALICE])

    assert opened(sealer, sealed) == ERASED
