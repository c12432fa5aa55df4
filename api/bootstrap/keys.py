"""Bootstrap of keys: where master keys come from, what signs sessions, and how processes hear of changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.clock import SystemClock
from adapters.jwt import JwtSessions
from adapters.sealing.key_tables import PostgresKeyTable
from adapters.sealing.master_key import KeyRing, parse_master_keys, read_or_make_ring, ring_of
from adapters.sealing.rotation import KeyKeeper, RotationRefused
from adapters.sealing.sealer import AccountSealer
from adapters.sealing.secret_tables import PostgresSecretTable, SecretTable
from adapters.sealing.signing_keys import signing_keys
from api.application.repository import AggregateRepository
from api.application.settings import Settings
from api.bootstrap.hosts import made_folder
from domain.ids import AccountId

__all__ = ["KeyKeeper", "RotationRefused"]


def key_ring(settings: Settings) -> KeyRing:
    """Return the master keys that are set, or those of the home folder. Raises BadMasterKey."""
    if settings.master_key is not None:
        return KeyRing(parse_master_keys(settings.master_key))
    if settings.master_key_file is not None:
        return ring_of(Path(settings.master_key_file), private=False)
    return read_or_make_ring(settings.home_folder / "master.key")


def _master_key_file(settings: Settings) -> Path | None:
    if settings.master_key is not None:
        return None
    return Path(settings.master_key_file or settings.home_folder / "master.key")


async def let_go(sealer: AccountSealer, aggregates: AggregateRepository, payload: str | None) -> None:
    """Forget what may be known of a person whose key another process erased."""
    sealer.forget(None if payload is None else AccountId(UUID(payload)))
    aggregates.forget()


async def opened_sessions(sealer: AccountSealer, secrets: SecretTable) -> JwtSessions:
    """Return what signs and verifies session tokens, by the keys that there are."""
    keys = await signing_keys(secrets, sealer.wrapping, sealer.wrapping.current)
    sessions = JwtSessions({keys[0].kid: keys[0].key}, keys[0].kid)
    sessions.use(keys)
    return sessions


async def look_for_signing_keys(sessions: JwtSessions, sealer: AccountSealer, secrets: SecretTable) -> None:
    """Have sessions signed and verified by the keys that there are now, whoever rotated them."""
    sessions.use(await signing_keys(secrets, sealer.wrapping, sealer.wrapping.current))


@asynccontextmanager
async def opened_keys(settings: Settings, service_url: str) -> AsyncIterator[KeyKeeper]:
    """Give whoever rotates keys, on a database that is migrated. Raises BadMasterKey, WrongMasterKey."""
    made_folder(settings.home_folder)
    async with AsyncConnectionPool(
        service_url, min_size=1, max_size=2, open=False, kwargs={"autocommit": True}
    ) as pool:
        ring, keys, secrets = key_ring(settings), PostgresKeyTable(pool), PostgresSecretTable(pool)
        sealer = AccountSealer(ring, keys, secrets)
        await sealer.check_master_key()
        await signing_keys(secrets, sealer.wrapping, sealer.wrapping.current)
        yield KeyKeeper(ring, keys, secrets, SystemClock(), _master_key_file(settings))
