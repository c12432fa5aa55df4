"""Idempotency: an answer is kept in the very append of its events, and told again to whoever repeats the request."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from api.application.repository import Loaded
from api.http.pipeline.call import Answer, Call
from api.http.pipeline.errors import IdempotencyKeyReused
from domain.deciding import AggregateRef, Decision
from domain.errors import Invalid, Refusal
from domain.ids import EventId
from domain.ports import Claim, ClaimTaken
from domain.time import HOUR, Instant
from domain.wallet.wallet import wallet_ref

SCOPE = "idempotency"
KEPT_FOR = 24 * HOUR
KEY_CHARACTERS_MAX = 255
_FIELD = "answer"
_OLDER_FIELD = "kept"
"""Of answers kept before they were bound to their requests; a day after that there are none."""
_PARTS = 5
REPLAYED = ("idempotency-replayed", "true")


class Kept(msgspec.Struct, frozen=True):
    """An answer as it is kept, with the digest of the request that it answers."""

    request: str
    status: int
    body: str
    headers: tuple[tuple[str, str], ...]


def checked_key(header: bytes | None) -> str | None:
    """Return the Idempotency-Key of a request. Raises Invalid."""
    if header is None:
        return None
    key = header.decode("latin-1")
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable():
        raise Invalid(fields={"Idempotency-Key": f"must be 1 to {KEY_CHARACTERS_MAX} printable ASCII characters"})
    return key


async def act(
    call: Call,
    refs: Sequence[AggregateRef[Any]],
    decide: Callable[[Loaded, Instant], Decision],
    answer: Callable[[Loaded, Instant], Answer],
    step: str = "",
) -> Answer:
    """Decide and record, and answer from what is seen afterwards; under a key, only once.

    ``answer`` is given the states as the decision leaves them, before anything is recorded: so what is
    told, and kept, is part of the same append.
    """
    if (kept := await find_kept(call)) is not None:
        return kept
    if call.idempotency_key is not None:
        await call.runtime.sealer.load([call.account_id], create=True)
    made: Answer | None = None

    def decide_and_answer(loaded: Loaded, now: Instant) -> Decision:
        nonlocal made
        decision = decide(loaded, now)
        made = answer(loaded.after(decision), now)
        if call.idempotency_key is None:
            return decision
        return msgspec.structs.replace(decision, claims=(*decision.claims, claim_of(call, made, now)))

    try:
        outcome = await call.runtime.aggregates.execute(refs, decide_and_answer, call.context(step))
    except (ClaimTaken, Refusal) as no:
        if isinstance(no, ClaimTaken) and no.scope != SCOPE:
            raise
        # The same request came twice at once, and the other one was faster: it is told by the claim, or by
        # a refusal where what it left behind (a taken key, less money) allows no second.
        if (kept := await find_kept(call)) is not None:
            return kept
        raise
    assert made is not None
    wallet = wallet_ref(call.account_id)
    if any(ref.stream == wallet.stream for ref in refs):
        after = outcome.loaded.of(wallet)
        return msgspec.structs.replace(made, balance=after.balance, wallet=after)
    return made


async def find_kept(call: Call) -> Answer | None:
    """Return the answer that was given to this request before. Raises IdempotencyKeyReused."""
    if call.idempotency_key is None:
        return None
    claim = await call.runtime.store.find_claim(SCOPE, claim_key(call))
    if claim is None:
        return None
    assert claim.kept is not None
    await call.runtime.sealer.load([call.account_id])
    kept = msgspec.json.decode(_opened(call, claim.kept.decode()), type=Kept)
    if kept.request != request_digest(call):
        raise IdempotencyKeyReused()
    return Answer(kept.status, kept.body.encode(), (*kept.headers, REPLAYED))


def claim_of(call: Call, answer: Answer, now: Instant) -> Claim:
    """Return the claim that keeps an answer, sealed; the account's key must be at hand."""
    return Claim(SCOPE, claim_key(call), call.account_id, _sealed(call, answer), Instant(now + KEPT_FOR))


def claim_key(call: Call) -> bytes:
    """Return under which key the answer to this call is claimed."""
    return call.runtime.sealer.keyed_hash(SCOPE, f"{call.account_id}:{call.idempotency_key}")


def request_digest(call: Call) -> str:
    """Return the digest of everything that makes one request the same as another."""
    return hashlib.sha256(call.target.encode() + b"\n" + call.raw_body).hexdigest()


def _sealed(call: Call, answer: Answer) -> bytes:
    kept = Kept(request_digest(call), answer.status, answer.body.decode(), answer.headers)
    text = msgspec.json.encode(kept).decode()
    return call.runtime.sealer.seal(call.account_id, _place_of(call), _FIELD, text).encode()


def _opened(call: Call, sealed: str) -> str:
    unseal, parts = call.runtime.sealer.unseal, sealed.split(".")
    if len(parts) == _PARTS and parts[3] == _OLDER_FIELD:
        return unseal(call.account_id, EventId(UUID(parts[2])), _OLDER_FIELD, sealed)
    return unseal(call.account_id, _place_of(call), _FIELD, sealed)


def _place_of(call: Call) -> EventId:
    """Return what stands for the event that an answer is sealed for: its claim, so that it answers no other request."""
    return EventId(UUID(bytes=claim_key(call)[:16]))
