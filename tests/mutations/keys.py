"""Mutations of what keeps sealed text where it was sealed, and erased keys erased."""

from tests.mutations.mutation import Mutation

_SEALING = "tests/adapters/sealing"
_CODEC = "tests/domain/test_codec.py"
_ERASING = "tests/domain/accounts/test_erasing.py"
_ROTATION = "tests/adapters/sealing/test_rotation.py"
_SEALER = "adapters/sealing/sealer.py"

KEYS: tuple[Mutation, ...] = (
    Mutation(
        "sealed text opens in its own place only",
        _SEALER,
        "header, body = header_of(account_id, event_id, field), body_of(sealed, account_id, event_id, field)",
        'header, _, body = sealed.rpartition(".")',
        _CODEC,
    ),
    Mutation(
        "an audit finds sealed text in another place",
        "domain/codec.py",
        "if metadata.account_id is None or not is_in_place(sealed, metadata.account_id, metadata.id, name):",
        "if metadata.account_id is None:",
        _CODEC,
    ),
    Mutation(
        "a kept answer is sealed for its request",
        "api/http/pipeline/idempotency.py",
        "return EventId(UUID(bytes=self.claim_key()[:16]))",
        "return EventId(self.account_id)",
        "tests/api/http/test_idempotency.py",
    ),
    Mutation(
        "an erased key does not come back by a read that began before",
        _SEALER,
        "while erasures != self._erasures:",
        "while erasures < 0:",
        _SEALING,
    ),
    Mutation(
        "keys are looked up anew after notices may have been missed",
        _SEALER,
        " and held.checked_s > self._all_stale_at_s",
        "",
        _SEALING,
    ),
    Mutation(
        "nothing is sealed for an erased account",
        _SEALER,
        "        if held.erased:\n            raise AccountIsErased\n",
        "",
        _SEALING,
    ),
    Mutation(
        "nobody but the service records of an erased account",
        "domain/codec.py",
        'if metadata.actor.kind != "service":',
        "if metadata.actor is None:",
        _CODEC,
    ),
    Mutation(
        "an account that is open is not erased",
        "domain/accounts/erasing.py",
        "if not account.closed:",
        "if account.erased:",
        _ERASING,
    ),
    Mutation(
        "what awaits Stripe is settled before an account is erased",
        "domain/accounts/erasing.py",
        "    if awaiting_stripe:\n",
        "    if False:\n",
        _ERASING,
    ),
    Mutation(
        "an erasure is gone on with after a crash",
        "projections/closings.py",
        'erasure[account_id] = "open"',
        'erasure[account_id] = "none"',
        "tests/projections/test_open_closings.py",
    ),
    Mutation(
        "the key of an erased account is destroyed",
        "api/application/erasing.py",
        "    await runtime.sealer.erase(account_id)\n",
        "",
        "tests/api/application/test_erasing.py",
    ),
    Mutation(
        "states in memory go with the key",
        "api/application/erasing.py",
        "    runtime.aggregates.forget()\n",
        "",
        "tests/api/application/test_erasing.py",
    ),
    Mutation(
        "what is being read while something is erased is not kept",
        "api/application/aggregate_cache.py",
        "if forgotten == self._forgotten:",
        "if self._forgotten >= 0:",
        "tests/api/application/test_erasing.py",
    ),
    Mutation(
        "other processes are told of an erased key",
        "adapters/sealing/key_tables.py",
        'await connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(account_id)])',
        "pass",
        "tests/journeys/test_erasure.py",
    ),
    Mutation(
        "no account's key is wrapped by a master key that wraps no more",
        "adapters/sealing/key_tables.py",
        "                if await found.fetchone() is None:\n                    return False\n",
        "                await found.fetchone()\n",
        _ROTATION,
    ),
    Mutation(
        "a rotation brings no erased key back",
        "adapters/sealing/key_tables.py",
        "WHERE k.account_id = new.account_id AND k.wrapped = new.old",
        "WHERE k.account_id = new.account_id",
        _ROTATION,
    ),
    Mutation(
        "a rotation that was cut off goes on with the same key",
        "adapters/sealing/rotation.py",
        "if not await self._is_cut_off(wrapping):",
        "if wrapping is not None:",
        _ROTATION,
    ),
    Mutation(
        "a master key that is needed is not retired",
        "adapters/sealing/rotation.py",
        "if needed := counts[row.id] + counts[None]:",
        "if needed := counts[None]:",
        _ROTATION,
    ),
    Mutation(
        "the key of the hashes outlives the master key",
        "adapters/sealing/sealer.py",
        "self._hashing_key = await kept_secret(self._secrets, self.wrapping, HASHING, first)",
        "self._hashing_key = first",
        _ROTATION,
    ),
    Mutation(
        "the file of master keys is read again",
        "adapters/sealing/wrapping.py",
        "        if found is None and self._ring.read_again():\n            found = self._ring.find(master_key_id)\n",
        "",
        _ROTATION,
    ),
    Mutation(
        "a JWT key's tokens end with it",
        "adapters/jwt.py",
        "return key is not None and (key.ends_at is None or now < key.ends_at)",
        "return key is not None",
        "tests/adapters/test_jwt.py",
    ),
    Mutation(
        "a new JWT key signs only once all know it",
        "adapters/jwt.py",
        "(key for key in keys if key.signs_from <= now)",
        "(key for key in keys)",
        "tests/adapters/test_jwt.py",
    ),
    Mutation(
        "kept output, answers and last uses are destroyed",
        "api/bootstrap/runtime.py",
        "leftovers=(PostgresLeftovers(pool), mail_folder(settings, clock)),",
        "leftovers=(mail_folder(settings, clock),),",
        "tests/journeys/test_erasure.py",
    ),
)
