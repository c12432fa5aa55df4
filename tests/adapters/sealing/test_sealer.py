"""The same promises of sealing, kept with keys in PostgreSQL and with keys in memory."""

import asyncio
import string
from base64 import b64decode
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool

from adapters.sealing import sealer as sealing
from adapters.sealing.key_tables import KeyTable, MemoryKeyTable, PostgresKeyTable
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer, KeyNotLoaded
from adapters.sealing.wrapping import WrongMasterKey
from domain.ids import AccountId, EventId
from domain.ports import StoreUnavailable
from domain.sealed import SealBroken
from tests.adapters.sealing.conftest import ALICE, ANOTHER_EVENT, BOB, EVENT, MASTER
from tests.sealed_text import opened

pytestmark = pytest.mark.anyio


def in_memory() -> AccountSealer:
    return AccountSealer(MASTER, MemoryKeyTable())


async def test_what_was_sealed_is_read_by_another_process(sealer: AccountSealer, keys: KeyTable) -> None:
    sealed = sealer.seal(ALICE, EVENT, "email", "alice@example.com")

    another = AccountSealer(MASTER, keys)
    await another.load([ALICE])

    assert "alice" not in sealed
    assert opened(another, sealed) == "alice@example.com"


async def test_two_processes_that_make_a_key_at_once_end_up_with_the_same(keys: KeyTable) -> None:
    first, second = AccountSealer(MASTER, keys), AccountSealer(MASTER, keys)
    await first.load([ALICE], create=True)
    await keys.add({ALICE: b"too late"})
    await second.load([ALICE], create=True)

    assert second.unseal(ALICE, EVENT, "name", first.seal(ALICE, EVENT, "name", "web-1")) == "web-1"


async def test_a_key_that_another_process_made_is_seen_at_once(sealer: AccountSealer, keys: KeyTable) -> None:
    carol = AccountId(uuid4())
    await sealer.load([carol])
    another = AccountSealer(MASTER, keys)
    await another.load([carol], create=True)
    sealed = another.seal(carol, EVENT, "email", "carol")

    await sealer.load([carol])

    assert opened(sealer, sealed) == "carol"


async def test_sealing_for_an_account_without_a_key_is_refused(sealer: AccountSealer) -> None:
    nobody = AccountId(uuid4())
    with pytest.raises(KeyNotLoaded):
        sealer.seal(nobody, EVENT, "email", "text")

    await sealer.load([nobody])

    with pytest.raises(KeyNotLoaded, match="create"):
        sealer.seal(nobody, EVENT, "email", "text")


async def test_another_master_key_is_told_at_the_start(sealer: AccountSealer, keys: KeyTable) -> None:
    await sealer.check_master_key()
    await AccountSealer(MASTER, keys).check_master_key()

    with pytest.raises(WrongMasterKey):
        await AccountSealer(MasterKey(bytes(32)), keys).check_master_key()


async def test_keys_swapped_between_accounts_in_the_database_are_found_out(keys: KeyTable) -> None:
    await AccountSealer(MASTER, keys).load([ALICE], create=True)
    wrapped = (await keys.read([ALICE]))[ALICE]
    assert wrapped is not None
    await keys.add({BOB: wrapped})

    with pytest.raises(WrongMasterKey):
        await AccountSealer(MASTER, keys).load([BOB])


async def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "KEYS_KEPT_MAX", 2)
    sealer = in_memory()
    accounts = [AccountId(UUID(int=n)) for n in range(1, 4)]

    for account in accounts:
        await sealer.load([account], create=True)

    with pytest.raises(KeyNotLoaded):
        sealer.seal(accounts[0], EVENT, "email", "text")
    sealer.seal(accounts[2], EVENT, "email", "text")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(), field=st.from_regex(r"[a-z][a-z_]{0,20}", fullmatch=True))
async def test_any_text_comes_back_as_it_was(text: str, field: str) -> None:
    sealer = in_memory()
    await sealer.load([ALICE], create=True)

    assert sealer.unseal(ALICE, EVENT, field, sealer.seal(ALICE, EVENT, field, text)) == text


@settings(max_examples=200)
@given(text=st.text(max_size=20), place=st.integers(min_value=0), letter=st.characters())
async def test_one_changed_character_anywhere_is_found_out(text: str, place: int, letter: str) -> None:
    sealer = in_memory()
    await sealer.load([ALICE], create=True)
    sealed = sealer.seal(ALICE, EVENT, "email", text)
    place %= len(sealed)
    changed = sealed[:place] + letter + sealed[place + 1 :]
    if changed == sealed:
        return

    with pytest.raises(SealBroken):
        sealer.unseal(ALICE, EVENT, "email", changed)


async def test_another_spelling_of_the_same_bytes_is_found_out() -> None:
    sealer = in_memory()
    await sealer.load([ALICE], create=True)
    sealed = sealer.seal(ALICE, EVENT, "email", "")
    body = sealed.rpartition(".")[2]
    alike = [body[:-1] + letter for letter in string.ascii_letters if body[-1] != letter]
    another = next(text for text in alike if b64decode(f"{text}==", "-_") == b64decode(f"{body}==", "-_"))

    with pytest.raises(SealBroken):
        sealer.unseal(ALICE, EVENT, "email", sealed.replace(body, another))


@pytest.mark.parametrize("part", [1, 2, 3])
async def test_text_moved_to_another_account_event_or_field_is_found_out(sealer: AccountSealer, part: int) -> None:
    mine = sealer.seal(ALICE, EVENT, "email", "alice").split(".")
    other = sealer.seal(BOB, ANOTHER_EVENT, "name", "bob").split(".")

    with pytest.raises(SealBroken):
        opened(sealer, ".".join([*mine[:part], other[part], *mine[part + 1 :]]))


@pytest.mark.parametrize(
    "place",
    [(BOB, EVENT, "email"), (ALICE, ANOTHER_EVENT, "email"), (ALICE, EVENT, "name")],
    ids=["another account", "another event", "another field"],
)
async def test_whole_sealed_text_is_opened_in_its_own_place_only(
    sealer: AccountSealer, place: tuple[AccountId, EventId, str]
) -> None:
    sealed = sealer.seal(ALICE, EVENT, "email", "alice")

    with pytest.raises(SealBroken, match="litevps audit verify"):
        sealer.unseal(*place, sealed)
    assert sealer.unseal(ALICE, EVENT, "email", sealed) == "alice"


@pytest.mark.parametrize("text", ["", "plain", "s2.a.b.c.d", "s1.x.y.z.w", "s1." + "0" * 32 + ".a.b."])
async def test_what_is_no_sealed_text_is_told(sealer: AccountSealer, text: str) -> None:
    await sealer.load([AccountId(UUID(int=0))], create=True)
    with pytest.raises(SealBroken):
        sealer.unseal(ALICE, EVENT, "email", text)


def test_a_keyed_hash_depends_on_key_scope_and_text_and_on_where_one_ends() -> None:
    sealer, another = in_memory(), AccountSealer(MasterKey(bytes(32)), MemoryKeyTable())
    hashes = {
        sealer.keyed_hash("email", "a@example.com"),
        sealer.keyed_hash("email", "b@example.com"),
        sealer.keyed_hash("emaila", "@example.com"),
        another.keyed_hash("email", "a@example.com"),
    }

    assert len(hashes) == 4
    assert sealer.keyed_hash("email", "a@example.com") in hashes


async def test_keys_that_cannot_be_reached_are_told_as_the_store_being_unavailable(database_url: str) -> None:
    async with AsyncConnectionPool(database_url, min_size=1, max_size=1, open=False, timeout=0.1) as pool:
        keys = PostgresKeyTable(pool)
        async with pool.connection() as only:
            with pytest.raises(StoreUnavailable):
                await keys.read([ALICE])
            await only.execute("SET idle_session_timeout = 1")
        await asyncio.sleep(0.05)
        with pytest.raises(StoreUnavailable):
            await keys.read([ALICE])
        assert await keys.read([ALICE]) == {}
