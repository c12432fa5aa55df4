"""Another password over HTTP, by a mailed code; whether an address has an account is told by nothing."""

from typing import Annotated

import msgspec

from api.application.refusals import CaptchaFailed, RateLimited
from api.http.bridge import NO_CONTENT, Answer, Call, Endpoint, Told
from api.http.mailed_codes import CaptchaOfEmail, Code, ask_by_mail, found, new_code
from api.http.pipeline.errors import Busy, CaptchaDown
from domain.accounts import resetting
from domain.accounts.account import account_ref
from domain.accounts.passwords import checked_password
from domain.accounts.ports import Quota
from domain.accounts.resetting import RESETS_OF_ADDRESS, RequestReset, ResetPassword
from domain.alerts.alerts import alerts_ref
from domain.alerts.codes import CodeRefused
from domain.errors import Invalid
from domain.events import Actor
from domain.ids import AccountId

OF_CLIENT = Quota("password-reset", 10, 60)


class PasswordReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either ``email`` and a solved CAPTCHA, to have a code mailed; or the code and another password."""

    email: str | None = None
    captcha: CaptchaOfEmail = msgspec.field(name="cf-turnstile-response", default="")
    code: Code | None = None
    new_password: Annotated[str | None, msgspec.Meta(description="Goes with `code`.")] = None


async def password_reset(call: Call) -> Answer:
    """Have a code mailed, or take one."""
    body: PasswordReset = call.body
    if (body.email is None) == (body.code is None):
        raise Invalid(fields={"email": "either it or code is required, and not both"})
    if body.email is not None:
        if body.new_password is not None:
            raise Invalid(fields={"new_password": "goes with code"})
        return await ask_by_mail(
            call, body.email, body.captcha, RESETS_OF_ADDRESS, lambda account_id: _have_mailed(call, account_id)
        )
    assert body.code is not None
    if body.new_password is None:
        raise Invalid(fields={"new_password": "required"})
    return await _confirm(call, body.code, checked_password(body.new_password, "new_password"))


async def _have_mailed(call: Call, account_id: AccountId) -> None:
    command = RequestReset(*new_code(call, "password-reset"))
    account, alerts = account_ref(account_id), alerts_ref(account_id)
    await call.runtime.aggregates.execute(
        (account, alerts),
        lambda loaded, now: resetting.request_reset(loaded.of(account), command, now),
        call.context_of(account_id, "password-reset", Actor("anonymous")),
    )


async def _confirm(call: Call, code: str, new_password: str) -> Answer:
    runtime = call.runtime
    account_id, reset_id, digest = await found(call, "password-reset", code)
    account, alerts = account_ref(account_id), alerts_ref(account_id)
    refs, context = (account, alerts), call.context_of(account_id, "password-reset", Actor("anonymous"))
    # Before anything is hashed: a wrong code costs us no more than it is worth.
    looked = await runtime.aggregates.execute(
        refs,
        lambda loaded, now: resetting.fail_reset(loaded.of(account), loaded.of(alerts), reset_id, digest, now),
        context,
    )
    if looked.events:
        raise CodeRefused
    command = ResetPassword(reset_id, digest, await runtime.passwords.hash(new_password))
    await runtime.aggregates.execute(
        refs,
        lambda loaded, now: resetting.reset_password(loaded.of(account), loaded.of(alerts), command, now),
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
            " guesses. Another password ends every JWT, and the address is verified by it. Waits of the login do not"
            " hold this up."
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
