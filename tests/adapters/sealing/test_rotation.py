"""Another master key takes the place of one beside everything else that goes on, and nothing is lost by it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg_pool import AsyncConnectionPool

from adapters.jwt import JwtSessions
from adapters.sealing import rotation
from adapters.sealing.key_tables import PostgresKeyTable
from adapters.sealing.master_key import KeyRing, add_master_key, parse_master_keys, read_or_make_ring, ring_of
from adapters.sealing.rotation import KeyKeeper, RotationRefused
from adapters.sealing.sealer import AccountSealer
from adapters.sealing.secret_tables import PostgresSecretTable
from adapters.sealing.signing_keys import signing_keys
from adapters.sealing.wrapping import WrongMasterKey
from adapters.simulated.clock import ManualClock
from domain.accounts.account import SESSION_LIFE
from domain.events import ERASED
from domain.ids import AccountId, EventId
from domain.time import Instant

pytestmark = pytest.mark.anyio

EVENT = EventId(uuid4())


class Site:
    """A database, a file of master keys, and as many processes as are wanted."""

    def __init__(self, pool: AsyncConnectionPool, file: Path) -> None:
        self.pool, self.file = pool, file
        self.keys, self.secrets, self.clock = PostgresKeyTable(pool), PostgresSecretTable(pool), ManualClock()

    async def process(self, ring: KeyRing | None = None) -> AccountSealer:
        sealer = AccountSealer(ring or read_or_make_ring(self.file), self.keys, self.secrets)
        await sealer.check_master_key()
        await signing_keys(self.secrets, sealer.wrapping, sealer.wrapping.current)
        return sealer

    def keeper(self, keys: PostgresKeyTable | None = None, *, ring: KeyRing | None = None) -> KeyKeeper:
        file = self.file if ring is None else None
        return KeyKeeper(ring or ring_of(self.file), keys or self.keys, self.secrets, self.clock, file)

    async def rotate(self) -> str:
        return await self.keeper().rotate_master(lambda _: None)


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with AsyncConnectionPool(
        database_url, min_size=1, max_size=8, open=False, kwargs={"autocommit": True}
    ) as pool:
        yield Site(pool, tmp_path / "master.key")


async def sealed(sealer: AccountSealer, count: int) -> dict[AccountId, str]:
    """Return text that was sealed for new accounts."""
    made = {}
    for _ in range(count):
        account_id = AccountId(uuid4())
        await sealer.load([account_id], create=True)
        made[account_id] = sealer.seal(account_id, EVENT, "email", str(account_id))
    return made


async def read(sealer: AccountSealer, texts: Mapping[AccountId, str]) -> set[bool]:
    """Return whether each text reads as it was sealed."""
    await sealer.load(list(texts))
    return {sealer.unseal(one, EVENT, "email", text) == str(one) for one, text in texts.items()}


async def test_a_running_process_goes_on_and_the_old_key_is_needed_no_more(site: Site) -> None:
    running = await site.process()
    texts = await sealed(running, 3)
    old, [first] = site.file.read_text(), await site.secrets.master_keys()
    found_by = running.keyed_hash("email", "ann@example.com")

    second = await site.rotate()
    running.forget()
    texts |= await sealed(running, 2)

    assert await read(running, texts) == {True}
    assert running.wrapping.current.id.hex() == second != first.id.hex()
    await site.keeper().retire_master(first.id.hex())
    fresh = await site.process()
    assert site.file.read_text().count("\n") == 1
    assert await read(fresh, texts) == {True}
    assert fresh.keyed_hash("email", "ann@example.com") == found_by
    with pytest.raises(WrongMasterKey):
        await site.process(KeyRing(parse_master_keys(old)))


async def test_keys_that_were_wrapped_before_master_keys_had_ids_are_read_and_wrapped_anew(site: Site) -> None:
    master_key = read_or_make_ring(site.file).first
    account_id, key, nonce = AccountId(uuid4()), bytes(range(32)), bytes(12)
    wrapped = nonce + AESGCM(master_key.derive("key wrapping")).encrypt(nonce, key, account_id.bytes)
    await site.keys.add({account_id: wrapped})
    running = await site.process()
    await running.load([account_id])
    texts = {account_id: running.seal(account_id, EVENT, "email", str(account_id))}

    await site.rotate()

    assert (await site.keys.page(None, 10))[account_id] != wrapped
    assert await read(await site.process(), texts) == {True}


class CutOff(Exception):
    pass


class Failing(PostgresKeyTable):
    """Keys of which some are replaced before the process dies."""

    replaced_max = 0

    async def replace(self, keys: Mapping[AccountId, tuple[bytes, bytes]]) -> None:
        if self.replaced_max == 0:
            raise CutOff
        self.replaced_max -= 1
        await super().replace(keys)


@pytest.mark.parametrize("replaced", [0, 1, 2])
async def test_a_rotation_that_was_cut_off_goes_on_with_the_same_key(
    site: Site, monkeypatch: pytest.MonkeyPatch, replaced: int
) -> None:
    monkeypatch.setattr(rotation, "BATCH_MAX", 2)
    running = await site.process()
    texts = await sealed(running, 5)
    failing = Failing(site.pool)
    failing.replaced_max = replaced
    with pytest.raises(CutOff):
        await site.keeper(failing).rotate_master(lambda _: None)
    assert await read(await site.process(), texts) == {True}, "both are read meanwhile"
    wraps = await site.secrets.current()
    [_, former] = await site.secrets.master_keys()
    with pytest.raises(RotationRefused, match="still wrapped"):
        await site.keeper().retire_master(former.id.hex())

    assert wraps is not None
    assert await site.rotate() == wraps.hex()

    assert site.file.read_text().count("\n") == 2
    await site.keeper().retire_master(former.id.hex())
    assert await read(await site.process(), texts) == {True}


async def test_a_key_that_was_made_and_not_yet_used_is_used_by_the_next_rotation(site: Site) -> None:
    await site.process()
    made = add_master_key(site.file)
    assert await site.rotate() == made.id.hex()
    assert site.file.read_text().count("\n") == 2


async def test_accounts_that_come_while_a_rotation_runs_are_wrapped_by_the_new_key(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH_MAX", 3)
    running = await site.process()
    texts = await sealed(running, 10)
    coming = asyncio.create_task(sealed(running, 40))
    await site.rotate()
    await site.rotate()
    texts |= await coming
    assert {one.wraps for one in await site.keeper().statuses() if one.state == "may be retired"} == {0}
    for key in [one for one in await site.keeper().statuses() if one.state == "may be retired"]:
        await site.keeper().retire_master(key.id)
    assert await read(await site.process(), texts) == {True}


async def test_a_key_that_is_erased_while_a_rotation_runs_does_not_come_back(site: Site) -> None:
    running = await site.process()
    texts = await sealed(running, 2)
    gone = next(iter(texts))

    class ErasesMeanwhile(PostgresKeyTable):
        async def replace(self, keys: Mapping[AccountId, tuple[bytes, bytes]]) -> None:
            await running.erase(gone)
            await super().replace(keys)

    await site.keeper(ErasesMeanwhile(site.pool)).rotate_master(lambda _: None)

    fresh = await site.process()
    await fresh.load([gone])
    assert fresh.unseal(gone, EVENT, "email", texts[gone]) == ERASED


async def test_master_keys_of_a_variable_are_rotated_once_every_process_has_both(site: Site, tmp_path: Path) -> None:
    old = read_or_make_ring(site.file).first
    running = await site.process(KeyRing([old]))
    texts = await sealed(running, 1)
    with pytest.raises(RotationRefused, match='"OLD,NEW"'):
        await site.keeper(ring=KeyRing([old])).rotate_master(lambda _: None)
    new = read_or_make_ring(tmp_path / "new.key").first

    both = KeyRing([old, new])
    assert await site.keeper(ring=both).rotate_master(lambda _: None) == new.id.hex()

    assert await read(await site.process(KeyRing([new])), texts) == {True}


async def test_what_is_in_use_or_never_was_is_not_retired(site: Site) -> None:
    sealer = await site.process()
    for key_id, why in ((sealer.wrapping.current.id.hex(), "rotate first"), ("00" * 8, "no master key")):
        with pytest.raises(RotationRefused, match=why):
            await site.keeper().retire_master(key_id)
    for kid, why in (("1", "only key that signs"), ("7", "no key 7")):
        with pytest.raises(RotationRefused, match=why):
            await site.keeper().retire_jwt(kid)


async def test_one_rotation_at_a_time(site: Site) -> None:
    await site.process()
    async with site.secrets.alone() as free:
        assert free
        with pytest.raises(RotationRefused, match="somebody else"):
            await site.rotate()
        with pytest.raises(RotationRefused, match="somebody else"):
            await site.keeper().rotate_jwt()


async def test_another_jwt_key_signs_once_all_know_it_and_the_old_one_ends_after_its_last_token(site: Site) -> None:
    sealer = await site.process()
    [first] = await signing_keys(site.secrets, sealer.wrapping, sealer.wrapping.current)
    assert first.key == sealer.wrapping.current.derive("purpose/jwt"), "tokens of before stay good"

    kid, begins = await site.keeper().rotate_jwt()
    await site.rotate()

    keys = {one.kid: one for one in await signing_keys(site.secrets, sealer.wrapping, sealer.wrapping.current)}
    assert (kid, begins) == ("2", Instant(site.clock.now() + rotation.SIGNS_AFTER))
    assert (keys["2"].signs_from, keys["2"].ends_at, keys["1"].key) == (begins, None, first.key)
    assert (keys["1"].ends_at or 0) >= begins + SESSION_LIFE
    assert keys["2"].key != keys["1"].key
    with pytest.raises(RotationRefused, match="only key that signs"):
        await site.keeper().retire_jwt("1")
    site.clock.advance(61)
    await site.keeper().retire_jwt("1")
    ended = {one.kid: one.ends_at for one in await signing_keys(site.secrets, sealer.wrapping, sealer.wrapping.current)}
    assert ended == {"1": site.clock.now(), "2": None}


@pytest.mark.parametrize("waited_s", [0, 61])
async def test_the_key_that_is_to_sign_for_long_is_not_retired_while_the_others_are_to_end(
    site: Site, waited_s: int
) -> None:
    sealer = await site.process()
    await signing_keys(site.secrets, sealer.wrapping, sealer.wrapping.current)
    kid, _ = await site.keeper().rotate_jwt()
    site.clock.advance(waited_s)

    with pytest.raises(RotationRefused, match="only key that signs"):
        await site.keeper().retire_jwt(kid)
    third, _ = await site.keeper().rotate_jwt()
    site.clock.advance(61)
    await site.keeper().retire_jwt(kid)

    keys = await signing_keys(site.secrets, sealer.wrapping, sealer.wrapping.current)
    sessions = JwtSessions({keys[0].kid: keys[0].key}, keys[0].kid)
    sessions.use(keys)
    token, session = sessions.issue(AccountId(UUID(int=7)), 1, site.clock.now())
    assert jwt.get_unverified_header(token)["kid"] == third
    assert sessions.read(token, site.clock.now()) == session
