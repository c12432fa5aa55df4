"""What claims and minutes mean in every event store: that only one append can have them."""

import asyncio
from uuid import uuid4

import pytest

from domain.ids import VpsId
from domain.ports import Append, Appended, Claim, ClaimTaken, MinuteClaim, MinuteTaken, VersionConflict
from domain.time import HOUR
from tests.contracts.event_stores import Store, claim, event, events, new_stream, now, store, stores

__all__ = ["store", "stores"]

pytestmark = pytest.mark.anyio


async def test_a_claim_can_be_had_once(store: Store) -> None:
    first = claim(kept=b"\0answer")
    await store.append(Append((event(new_stream(), 1),), (first,)))
    assert await store.find_claim("email", b"key") == first
    with pytest.raises(ClaimTaken) as refusal:
        await store.append(Append((event(new_stream(), 1),), (claim(b"free"), claim())))
    assert (refusal.value.scope, refusal.value.key) == ("email", b"key")
    assert await store.find_claim("email", b"free") is None
    assert await store.head() == 1


async def test_the_same_key_in_another_scope_is_another_claim(store: Store) -> None:
    await store.append(Append((), (claim(),)))
    await store.append(Append((), (Claim("payment", b"key", uuid4()),)))
    assert await store.find_claim("payment", b"key") is not None


async def test_an_append_cannot_claim_one_thing_twice(store: Store) -> None:
    with pytest.raises(ClaimTaken):
        await store.append(Append((), (claim(), claim())))
    assert await store.find_claim("email", b"key") is None


async def test_an_expired_claim_is_free(store: Store) -> None:
    await store.append(Append((), (claim(expires_at=now() - 1_000_000),)))
    assert await store.find_claim("email", b"key") is None
    second = claim(expires_at=now() + HOUR)
    await store.append(Append((), (second,)))
    assert await store.find_claim("email", b"key") == second
    with pytest.raises(ClaimTaken):
        await store.append(Append((), (claim(),)))


async def test_expired_claims_are_swept_and_no_others(store: Store) -> None:
    lasting, timed = claim(b"lasting"), claim(b"timed", expires_at=now() + HOUR)
    await store.append(Append((), (lasting, timed, claim(b"over", expires_at=now() - HOUR))))
    assert await store.sweep_claims() == 1
    assert await store.sweep_claims() == 0
    assert await store.find_claim("email", b"lasting") == lasting
    assert await store.find_claim("email", b"timed") == timed


async def test_a_released_claim_is_free(store: Store) -> None:
    await store.append(Append((), (claim(),)))
    await store.append(Append((event(new_stream(), 1),), (), (("email", b"key"), ("email", b"never claimed"))))
    assert await store.find_claim("email", b"key") is None
    await store.append(Append((), (claim(),)))


async def test_a_claim_can_be_given_up_and_taken_anew_in_one_append(store: Store) -> None:
    await store.append(Append((), (claim(),)))
    second = claim()
    await store.append(Append((), (second,), (("email", b"key"),)))
    assert await store.find_claim("email", b"key") == second


async def test_a_refused_append_releases_nothing(store: Store) -> None:
    stream, first = new_stream(), claim()
    await store.append(Append((event(stream, 1),), (first,)))
    with pytest.raises(VersionConflict):
        await store.append(Append((event(stream, 1),), (), (("email", b"key"),)))
    assert await store.find_claim("email", b"key") == first


async def test_an_append_without_events_is_told_the_head(store: Store) -> None:
    await store.append(Append(events(new_stream(), 1, 3)))
    appended = await store.append(Append((), (claim(),)))
    assert (appended.first_position, appended.last_position) == (4, 3)
    assert await store.head() == 3


async def test_each_minute_of_a_vps_is_used_once_and_in_order(store: Store) -> None:
    wallet, vps = new_stream(), VpsId(uuid4())
    await store.append(Append((event(wallet, 1),), (), (), (MinuteClaim(vps, 1, 3),)))
    for n_from, n_to in ((1, 1), (3, 4), (5, 5), (4, 3)):
        # The version is right; only the minute is not.
        with pytest.raises(MinuteTaken):
            await store.append(Append((event(wallet, 2),), (), (), (MinuteClaim(vps, n_from, n_to),)))
    assert await store.head() == 1
    await store.append(Append((event(wallet, 2),), (), (), (MinuteClaim(vps, 4, 4),)))


async def test_the_first_minute_of_a_vps_is_1(store: Store) -> None:
    with pytest.raises(MinuteTaken):
        await store.append(Append((event(new_stream(), 1),), (), (), (MinuteClaim(VpsId(uuid4()), 2, 2),)))


async def test_minutes_of_one_vps_at_two_prices_go_in_one_append(store: Store) -> None:
    vps, other = VpsId(uuid4()), VpsId(uuid4())
    lines = (MinuteClaim(vps, 1, 2), MinuteClaim(other, 1, 1), MinuteClaim(vps, 3, 5))
    await store.append(Append((event(new_stream(), 1),), (), (), lines))
    await store.append(Append((event(new_stream(), 1),), (), (), (MinuteClaim(vps, 6, 6),)))
    with pytest.raises(MinuteTaken):
        await store.append(Append((), (), (), (MinuteClaim(vps, 7, 7), MinuteClaim(vps, 9, 9))))


async def test_of_many_who_want_the_same_claim_one_gets_it(store: Store) -> None:
    results = await asyncio.gather(
        *(store.append(Append((event(new_stream(), 1),), (claim(),))) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, Appended) for result in results) == 1
    assert sum(isinstance(result, ClaimTaken) for result in results) == 19


async def test_of_many_who_want_the_same_minute_one_gets_it(store: Store) -> None:
    minutes = (MinuteClaim(VpsId(uuid4()), 1, 1),)
    results = await asyncio.gather(
        *(store.append(Append((event(new_stream(), 1),), (), (), minutes)) for _ in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Appended) for result in results) == 1
    assert sum(isinstance(result, MinuteTaken) for result in results) == 19
