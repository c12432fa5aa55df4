"""Rotation: another master key or signing key takes the place of one, beside a service that goes on."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from adapters.sealing.key_tables import PostgresKeyTable
from adapters.sealing.master_key import KeyRing, add_master_key, remove_master_key
from adapters.sealing.secret_tables import PostgresSecretTable, Secret
from adapters.sealing.signing_keys import PREFIX, signing_keys
from adapters.sealing.wrapping import UNMARKED_BYTES, Wrapping, marked_by
from domain.accounts.account import SESSION_LIFE
from domain.ids import AccountId
from domain.ports import Clock
from domain.time import Instant, seconds

BATCH_MAX = 500
"""Keys that are wrapped anew by one statement."""
SIGNS_AFTER = seconds(60)
"""How long a new signing key is known before it signs: every process looks for it far more often."""

Reached = Callable[[int], object]
"""Is told how many keys were looked at."""


class RotationRefused(Exception):
    """What was asked of a key cannot be done; the text says why, and what helps."""


class KeyStatus(msgspec.Struct, frozen=True):
    """A key as operators are told of it."""

    kind: Literal["master", "jwt"]
    id: str
    state: str
    wraps: int | None = None
    """How many keys are wrapped by it."""
    ends_at: Instant | None = None


class KeyKeeper:
    """Rotates keys. ``file``: where master keys are; None where they are given as a variable."""

    def __init__(
        self, ring: KeyRing, keys: PostgresKeyTable, secrets: PostgresSecretTable, clock: Clock, file: Path | None
    ) -> None:
        self._ring = ring
        self._keys = keys
        self._secrets = secrets
        self._clock = clock
        self._file = file

    async def statuses(self) -> list[KeyStatus]:
        """Return every master key and every signing key, the newest first."""
        counts = await self._counts()
        told = []
        for row in await self._secrets.master_keys():
            state = "wraps" if row.wraps else "retired" if row.retired else "still needed"
            if not row.wraps and not row.retired and not counts[row.id] and not counts[None]:
                state = "may be retired"
            missing = "" if row.retired or self._ring.find(row.id) else ", NOT HERE"
            told.append(KeyStatus("master", row.id.hex(), state + missing, counts[row.id]))
        if counts[None]:
            told.append(KeyStatus("master", "the first", "not named yet", counts[None]))
        now = self._clock.now()
        for secret in sorted(await self._signing(), key=lambda one: one.signs_from or 0, reverse=True):
            begins = secret.signs_from or Instant(0)
            ended = secret.ends_at is not None and secret.ends_at <= now
            state = "ended" if ended else "signs soon" if begins > now else "verifies" if secret.ends_at else "signs"
            told.append(KeyStatus("jwt", secret.name.removeprefix(PREFIX), state, None, secret.ends_at))
        return told

    async def rotate_master(self, reached: Reached) -> str:
        """Have another master key wrap every key; return its id. Cut off anywhere, it goes on when it is asked again.

        Raises RotationRefused, WrongMasterKey.
        """
        async with self._secrets.alone() as free:
            if not free:
                raise RotationRefused("somebody else is rotating keys: wait for them")
            wrapping = await self._wrapping()
            if not await self._is_cut_off(wrapping):
                await self._secrets.change_to(await self._next_id())
                wrapping = await self._wrapping()
            await self._wrap_all(wrapping, reached)
            return wrapping.current.id.hex()

    async def rotate_jwt(self) -> tuple[str, Instant]:
        """Make another key that signs sessions; return its id, and when it begins to.

        Those before verify until the last token that they may have signed has expired. Raises RotationRefused.
        """
        async with self._secrets.alone() as free:
            if not free:
                raise RotationRefused("somebody else is rotating keys: wait for them")
            wrapping = await self._wrapping()
            known = await signing_keys(self._secrets, wrapping, wrapping.current)
            kid = str(max(int(one.kid) for one in known) + 1)
            begins = Instant(self._clock.now() + SIGNS_AFTER)
            name = f"{PREFIX}{kid}"
            await self._secrets.add(Secret(name, wrapping.wrap(name.encode(), os.urandom(32)), signs_from=begins))
            for one in known:
                await self._secrets.end(f"{PREFIX}{one.kid}", Instant(begins + SIGNS_AFTER + SESSION_LIFE))
            return kid, begins

    async def retire_master(self, key_id: str) -> None:
        """Take a master key that wraps nothing any more out of its file. Raises RotationRefused."""
        row = next((row for row in await self._secrets.master_keys() if row.id.hex() == key_id), None)
        if row is None:
            raise RotationRefused(f"no master key {key_id} ever wrapped keys of this database")
        if row.wraps:
            raise RotationRefused(f"{key_id} is the master key that wraps: rotate first")
        counts = await self._counts()
        if needed := counts[row.id] + counts[None]:
            raise RotationRefused(f"{needed} keys are still wrapped by {key_id}: `litevps keys rotate master` goes on")
        await self._secrets.retire(row.id)
        if self._file is not None:
            try:
                remove_master_key(self._file, row.id)
            except OSError as problem:
                raise RotationRefused(f"{key_id} is retired; take it out of {self._file}: {problem}") from problem

    async def retire_jwt(self, kid: str) -> None:
        """Believe no token any more that a key signed. Raises RotationRefused."""
        now = self._clock.now()
        known = {one.name.removeprefix(PREFIX): one for one in await self._signing()}
        if kid not in known:
            raise RotationRefused(f"there is no key {kid} that signs sessions")
        # One that is to end signs no more once another has begun to, and never again.
        others = [one for name, one in known.items() if name != kid and one.ends_at is None]
        if not any((one.signs_from or Instant(0)) <= now for one in others):
            raise RotationRefused(f"{kid} is the only key that signs: rotate first, and wait until the next one does")
        await self._secrets.end(f"{PREFIX}{kid}", now)

    async def _wrapping(self) -> Wrapping:
        wrapping = Wrapping(self._ring)
        current = await self._secrets.current()
        assert current is not None, "one wraps from the first start on"
        wrapping.use(current)
        return wrapping

    async def _next_id(self) -> bytes:
        """Return the id of the master key that is to wrap: one that is there and never did, or else a new one."""
        known = {row.id for row in await self._secrets.master_keys()}
        self._ring.read_again()
        waiting = [master_key.id for master_key in self._ring if master_key.id not in known]
        if waiting:
            return waiting[0]
        if self._file is None:
            raise RotationRefused(
                "LITEVPS_MASTER_KEY is a variable, which other processes do not see change: start all of them with"
                ' "OLD,NEW" (32 random bytes in base64), then rotate'
            )
        try:
            made = add_master_key(self._file).id
        except OSError as problem:
            raise RotationRefused(
                f"{self._file} cannot be changed ({problem}): add a line of 32 random bytes in base64, then rotate"
            ) from problem
        self._ring.read_again()
        return made

    async def _is_cut_off(self, wrapping: Wrapping) -> bool:
        """Return whether an earlier rotation is to be gone on with."""
        former = [row for row in await self._secrets.master_keys() if not row.wraps and not row.retired]
        if not former:
            return False
        counts = await self._counts()
        return any(count for key_id, count in counts.items() if key_id != wrapping.current.id)

    async def _wrap_all(self, wrapping: Wrapping, reached: Reached) -> None:
        """Wrap anew whatever is not wrapped by the current master key: what is new is, since that was changed to."""
        for secret in await self._secrets.read():
            if not wrapping.is_current(secret.wrapped):
                name = secret.name.encode()
                await self._secrets.replace(secret, wrapping.wrap(name, wrapping.unwrap(name, secret.wrapped)))
        after: AccountId | None = None
        looked_at = 0
        while page := await self._keys.page(after, BATCH_MAX):
            old = {account_id: kept for account_id, kept in page.items() if not wrapping.is_current(kept)}
            new = {one: (kept, wrapping.wrap(one.bytes, wrapping.unwrap(one.bytes, kept))) for one, kept in old.items()}
            if new:
                await self._keys.replace(new)
            after, looked_at = max(page), looked_at + len(page)
            reached(looked_at)

    async def _counts(self) -> Counter[bytes | None]:
        """Return how many keys and secrets each master key wrapped; None: those that do not say which did."""
        counts: Counter[bytes | None] = Counter()
        ids = [row.id for row in await self._secrets.master_keys()]
        counts.update(_wrapped_by(one.wrapped, ids) for one in await self._secrets.read())
        after: AccountId | None = None
        while page := await self._keys.page(after, BATCH_MAX):
            counts.update(_wrapped_by(kept, ids) for kept in page.values())
            after = max(page)
        return counts

    async def _signing(self) -> list[Secret]:
        return [one for one in await self._secrets.read() if one.name.startswith(PREFIX)]


def _wrapped_by(wrapped: bytes, ids: list[bytes]) -> bytes | None:
    if len(wrapped) == UNMARKED_BYTES:
        return None
    return next((key_id for key_id in ids if wrapped.startswith(marked_by(key_id))), None)
