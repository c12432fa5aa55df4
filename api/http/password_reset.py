"""Another password over HTTP, by a mailed code; whether an address has an account is told by nothing."""

import asyncio
from typing import Annotated

import msgspec

from api.http.call import NO_CONTENT, Answer, Call
from api.http.endpoint import Endpoint, Told
from api.http.errors import Busy, CaptchaDown, CaptchaFailed, RateLimited
from domain.accounts import resetting
from domain.accounts.account import EMAIL_CLAIM, account_view
from domain.accounts.emails import email_form
from domain.accounts.passwords import checked_password
from domain.accounts.ports import Quota
from domain.accounts.resetting import RESET_SCOPE, RESETS_OF_ADDRESS, RequestReset, ResetPassword
from domain.alerts.alerts import CodeRefused, alerts_view
from domain.alerts.codes import code_of, digest_of, verification_of
from domain.errors import Invalid
from domain.events import Actor
from domain.ids import AccountId

ANSWER_TAKES_S = 0.15
"""How long a request takes at least, so that what was found cannot be told from the time."""
OF_CLIENT = Quota("password-reset", 10, 60)
CODE_CHARACTERS_MAX = 100
ACCEPTED = Answer(202)


class PasswordReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either ``email`` and a solved CAPTCHA, to have a code mailed; or the code and another password."""

    email: str | None = None
    captcha: Annotated[str, msgspec.Meta(description="Goes with `email`.")] = msgspec.field(
        name="cf-turnstile-response", default=""
    )
    code: Annotated[str, msgspec.Meta(max_length=CODE_CHARACTERS_MAX)] | None = None
    new_password: Annotated[str | None, msgspec.Meta(description="Goes with `code`.")] = None


async def password_reset(call: Call) -> Answer:
    """Have a code mailed, or take one."""
    body: PasswordReset = call.body
    if (body.email is None) == (body.code is None):
        raise Invalid(fields={"email": "either it or code is required, and not both"})
    if body.email is not None:
        if body.new_password is not None:
            raise Invalid(fields={"new_password": "goes with code"})
        return await _request(call, body.email, body.captcha)
    assert body.code is not None
    if body.new_password is None:
        raise Invalid(fields={"new_password": "required"})
    return await _confirm(call, body.code, checked_password(body.new_password, "new_password"))


async def _request(call: Call, email: str, captcha: str) -> Answer:
    runtime, loop = call.runtime, asyncio.get_running_loop()
    if not await runtime.captcha.passed(captcha, call.arrival.address):
        raise CaptchaFailed
    began_s = loop.time()
    email_key = runtime.sealer.keyed_hash(EMAIL_CLAIM, email_form(email))
    # By the hash, whether it has an account or not: beyond its share, an address is mailed nothing more.
    (tally,) = await runtime.rate_counters.count([(RESETS_OF_ADDRESS, email_key.hex())])
    claim = await runtime.store.find_claim(EMAIL_CLAIM, email_key)
    if claim is not None and tally.count <= RESETS_OF_ADDRESS.tries:
        await _have_mailed(call, AccountId(claim.holder))
    await asyncio.sleep(began_s + ANSWER_TAKES_S - loop.time())
    return ACCEPTED


async def _have_mailed(call: Call, account_id: AccountId) -> None:
    runtime, reset_id = call.runtime, call.runtime.ids.new()
    code = code_of(reset_id, runtime.sealer.keyed_hash(RESET_SCOPE, str(reset_id)))
    command = RequestReset(reset_id, digest_of(code))
    account, alerts = account_view(account_id), alerts_view(account_id)
    await runtime.ledger.execute(
        (account, alerts),
        lambda sight, now: resetting.request_reset(sight.of(account), command, now),
        call.context_of(account_id, "password-reset", Actor("anonymous")),
    )


async def _confirm(call: Call, code: str, new_password: str) -> Answer:
    runtime, reset_id = call.runtime, verification_of(code)
    claim = None if reset_id is None else await runtime.store.find_claim(RESET_SCOPE, reset_id.bytes)
    if claim is None or reset_id is None:
        raise CodeRefused
    account_id, digest = AccountId(claim.holder), digest_of(code)
    account, alerts = account_view(account_id), alerts_view(account_id)
    views, context = (account, alerts), call.context_of(account_id, "password-reset", Actor("anonymous"))
    # Before anything is hashed: a wrong code costs us no more than it is worth.
    looked = await runtime.ledger.execute(
        views,
        lambda sight, now: resetting.fail_reset(sight.of(account), sight.of(alerts), reset_id, digest, now),
        context,
    )
    if looked.events:
        raise CodeRefused
    command = ResetPassword(reset_id, digest, await runtime.passwords.hash(new_password))
    await runtime.ledger.execute(
        views,
        lambda sight, now: resetting.reset_password(sight.of(account), sight.of(alerts), command, now),
        context,
    )
    return NO_CONTENT


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/auth/password-reset",
        name="password_reset",
        tag="accounts",
        summary="Get another password by mail",
        description=(
            "First with `email` and a solved CAPTCHA: 202 whether the address has an account or not; if it has, a code"
            " is mailed there, at most 3 an hour. By that alone no session and no password ends. Then with `code` and"
            " `new_password`: the code is good once, for an hour, until another one was asked for, and for 5 wrong"
            " guesses. Another password ends every JWT. Waits of the login do not hold this up."
        ),
        who="public",
        handle=password_reset,
        body=PasswordReset,
        body_example={"email": "you@example.com", "cf-turnstile-response": "…"},
        told=(
            Told(202, "If the address has an account, a code was mailed to it."),
            Told(204, "The password is another one; every JWT is no longer good."),
        ),
        refusals=(CaptchaFailed, CodeRefused, RateLimited, CaptchaDown, Busy),
        quota=OF_CLIENT,
    ),
)
