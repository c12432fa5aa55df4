"""Codes by mail over HTTP: asked for so that nothing tells whether an address has an account, and found when shown."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

import msgspec

from api.application.refusals import CaptchaFailed
from api.http.bridge import Answer, Call
from domain.accounts.account import EMAIL_CLAIM
from domain.accounts.emails import email_form
from domain.accounts.ports import Quota
from domain.alerts.codes import SCOPES, CodeKind, CodeRefused, code_under, digest_of, id_in
from domain.ids import AccountId

ANSWER_TAKES_S = 0.15
"""How long a request takes at least, so that what was found cannot be told from the time."""
CODE_CHARACTERS_MAX = 100
ACCEPTED = Answer(202)

Code = Annotated[str, msgspec.Meta(max_length=CODE_CHARACTERS_MAX)]
CaptchaOfEmail = Annotated[str, msgspec.Meta(description="Goes with `email`.")]


async def ask_by_mail(
    call: Call, email: str, captcha: str, of_address: Quota, have_mailed: Callable[[AccountId], Awaitable[object]]
) -> Answer:
    """Have a code mailed if the address has an account; the answer is the same if not. Raises CaptchaFailed."""
    runtime, loop = call.runtime, asyncio.get_running_loop()
    if not await runtime.captcha.passed(captcha, call.arrival.address):
        raise CaptchaFailed
    began_s = loop.time()
    email_key = runtime.sealer.keyed_hash(EMAIL_CLAIM, email_form(email))
    may_be_mailed = await is_within(call, of_address, email_key)
    claim = await runtime.store.find_claim(EMAIL_CLAIM, email_key)
    if claim is not None and may_be_mailed:
        await have_mailed(AccountId(claim.holder))
    await asyncio.sleep(began_s + ANSWER_TAKES_S - loop.time())
    return ACCEPTED


async def is_within(call: Call, of_address: Quota, email_key: bytes) -> bool:
    """Count a mail to an address, by its hash, and tell whether that is within its share: beyond, none is sent."""
    (tally,) = await call.runtime.rate_counters.count([(of_address, email_key.hex())])
    return tally.count <= of_address.tries


def new_code(call: Call, kind: CodeKind) -> tuple[UUID, str]:
    """Return the id and the digest of a new code."""
    code_id = call.runtime.ids.new()
    return code_id, digest_of(code_under(call.runtime.sealer, kind, code_id))


async def found(call: Call, kind: CodeKind, code: str) -> tuple[AccountId, UUID, str]:
    """Return whose code it is that is shown, its id and its digest. Raises CodeRefused."""
    code_id = id_in(code)
    claim = None if code_id is None else await call.runtime.store.find_claim(SCOPES[kind], code_id.bytes)
    if claim is None or code_id is None:
        raise CodeRefused
    return AccountId(claim.holder), code_id, digest_of(code)
