"""Few do something heavy at once, and no account keeps the others from it."""

import asyncio
from uuid import UUID

import pytest

from api.workers.concurrency_limits import FairSemaphore, Permit
from domain.ids import AccountId

pytestmark = pytest.mark.anyio

ANN, BOB = AccountId(UUID(int=1)), AccountId(UUID(int=2))


async def asked(semaphore: FairSemaphore, account_id: AccountId) -> asyncio.Task[Permit]:
    """Ask for a permit, and let whoever is to have one have it."""
    asking = asyncio.create_task(semaphore.take(account_id))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return asking


async def test_no_more_than_so_many_have_a_slot() -> None:
    semaphore = FairSemaphore(permits_max=1, share_max=1)
    first = await semaphore.take(ANN)
    second = await asked(semaphore, BOB)
    assert not second.done()

    with first:
        pass

    await second


async def test_an_account_alone_may_have_them_all() -> None:
    semaphore = FairSemaphore(permits_max=3, share_max=1)

    assert all([(await asked(semaphore, ANN)).done() for _ in range(3)])


async def test_who_has_its_share_lets_others_go_first() -> None:
    semaphore = FairSemaphore(permits_max=2, share_max=1)
    held = [await semaphore.take(ANN), await semaphore.take(ANN)]
    more, others = await asked(semaphore, ANN), await asked(semaphore, BOB)

    held[0].release()

    await others
    assert not more.done()


async def test_a_slot_that_is_left_twice_is_free_once() -> None:
    semaphore = FairSemaphore(permits_max=1, share_max=1)
    permit = await semaphore.take(ANN)
    permit.release()
    permit.release()

    await semaphore.take(ANN)
    assert not (await asked(semaphore, ANN)).done()


@pytest.mark.parametrize("handed_out", [False, True])
async def test_who_stops_waiting_keeps_no_slot(handed_out: bool) -> None:
    semaphore = FairSemaphore(permits_max=1, share_max=1)
    permit = await semaphore.take(ANN)
    waiting = await asked(semaphore, BOB)
    if handed_out:
        permit.release()
    waiting.cancel()
    await asyncio.wait([waiting])
    permit.release()

    assert waiting.cancelled()
    assert (await asked(semaphore, ANN)).done()
