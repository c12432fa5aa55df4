"""A sealer with a key that the first release made: what was sealed under it opens for ever."""

import asyncio
from uuid import UUID

import pytest

from adapters.sealing.key_tables import MemoryKeyTable
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from domain.ids import AccountId

ALICE = AccountId(UUID("018f0000-0000-7000-8000-00000000000a"))
# Golden: if it is not unwrapped any more, recorded history is lost.
WRAPPED_KEY_OF_ALICE = bytes.fromhex(
    "2ecd36125955ef280849608e8c8c3ffa383ea928b086820bb63ec7720cb37739ad52bc728c5cd2df5902ee3b17aa8cf7d688ac6c33648dd9b64b0ab5"
)


@pytest.fixture
def sealer() -> AccountSealer:
    """A sealer with the key of Alice at hand."""
    return asyncio.run(_with_the_key_of_alice())


async def _with_the_key_of_alice() -> AccountSealer:
    keys = MemoryKeyTable()
    await keys.add({ALICE: WRAPPED_KEY_OF_ALICE})
    sealer = AccountSealer(MasterKey(bytes(range(32))), keys)
    await sealer.load([ALICE])
    return sealer
