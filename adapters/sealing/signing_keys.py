"""The keys that sign session tokens, kept as secrets of their own, so that one can follow another."""

from adapters.sealing.master_key import MasterKey
from adapters.sealing.secret_tables import Secret, SecretTable
from adapters.sealing.wrapping import Wrapping
from domain.accounts.ports import SigningKey
from domain.time import Instant

PREFIX = "jwt/"
FIRST = "1"


async def signing_keys(table: SecretTable, wrapping: Wrapping, first: MasterKey) -> list[SigningKey]:
    """Return every key that signs or signed; at the first start there is the one that was always derived."""
    secrets = await _read(table)
    if not secrets:
        name = f"{PREFIX}{FIRST}"
        wrapped = wrapping.wrap(name.encode(), first.derive("purpose/jwt"))
        await table.add(Secret(name, wrapped, signs_from=Instant(0)))
        secrets = await _read(table)
    return [
        SigningKey(
            one.name.removeprefix(PREFIX),
            wrapping.unwrap(one.name.encode(), one.wrapped),
            one.signs_from or Instant(0),
            one.ends_at,
        )
        for one in secrets
    ]


async def _read(table: SecretTable) -> list[Secret]:
    return [one for one in await table.read() if one.name.startswith(PREFIX)]
