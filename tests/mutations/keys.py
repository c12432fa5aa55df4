"""Mutations of what keeps sealed text where it was sealed, and erased keys erased."""

from tests.mutations.mutation import Mutation

_SEALING = "tests/adapters/sealing"
_CODEC = "tests/domain/test_codec.py"
_SEALER = "adapters/sealing/sealer.py"

KEYS: tuple[Mutation, ...] = (
    Mutation(
        "sealed text opens in its own place only", "domain/sealed.py", "if header != expected:", "if False:", _CODEC
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
        "api/http/idempotency.py",
        "return EventId(UUID(bytes=claim_key(call)[:16]))",
        "return EventId(call.account_id)",
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
        "        if held.erased:\n            raise AccountErased\n",
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
)
