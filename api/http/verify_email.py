"""Verifying e-mail addresses over HTTP, by a mailed code: that of an account, and that which its alerts go to."""

from uuid import UUID

import msgspec

from api.application.refusals import CaptchaFailed, RateLimited
from api.http.bridge import NO_CONTENT, Answer, Call, Endpoint, Told
from api.http.mailed_codes import CaptchaOfEmail, Code, ask_by_mail, found, new_code
from api.http.pipeline.errors import CaptchaDown
from domain.accounts import verifying
from domain.accounts.account import account_ref
from domain.accounts.ports import Quota
from domain.accounts.verifying import VERIFICATIONS_OF_ADDRESS, RequestVerification
from domain.alerts.alerts import alerts_ref
from domain.alerts.codes import CodeRefused, code_of
from domain.alerts.commands import VerifyAddress
from domain.alerts.events import AddressVerified, EmailVerificationDone
from domain.errors import Invalid
from domain.events import Actor
from domain.ids import AccountId

OF_CLIENT = Quota("verify-email", 10, 60)


class VerifyEmail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either the code that came by mail; or ``email`` and a solved CAPTCHA, to have another one mailed."""

    code: Code | None = None
    email: str | None = None
    captcha: CaptchaOfEmail = msgspec.field(name="cf-turnstile-response", default="")


async def verify_email(call: Call) -> Answer:
    """Take a code, or have one mailed."""
    body: VerifyEmail = call.body
    if (body.email is None) == (body.code is None):
        raise Invalid(fields={"code": "either it or email is required, and not both"})
    if body.code is not None:
        return await _take(call, body.code)
    assert body.email is not None

    async def have_mailed(account_id: AccountId) -> None:
        command = RequestVerification(*new_code(call, "verify-email"))
        account, alerts = account_ref(account_id), alerts_ref(account_id)
        await call.runtime.aggregates.execute(
            (account, alerts),
            lambda loaded, now: verifying.request_verification(loaded.of(account), command, now),
            call.context_of(account_id, "verify-email", Actor("anonymous")),
        )

    return await ask_by_mail(call, body.email, body.captcha, VERIFICATIONS_OF_ADDRESS, have_mailed)


async def _take(call: Call, code: str) -> Answer:
    # What a wrong, an expired and an unknown code are answered is the same.
    account_id, verification_id, digest = await found(call, "verify-email", code)
    account, alerts = account_ref(account_id), alerts_ref(account_id)
    command = VerifyAddress(verification_id, digest)
    outcome = await call.runtime.aggregates.execute(
        (account, alerts),
        lambda loaded, now: verifying.verify_email(loaded.of(account), loaded.of(alerts), account_id, command, now),
        call.context_of(account_id, "verify-email", Actor("anonymous")),
    )
    if not any(isinstance(event, AddressVerified | EmailVerificationDone) for _, event in outcome.events):
        raise CodeRefused
    return NO_CONTENT


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/auth/verify-email",
        name="verify_email",
        tag="accounts",
        summary="Verify an e-mail address",
        description=(
            "With `code`, which came by mail: after registration to the address of the account (`email_verified` of"
            " `GET /api/me`), after `PUT /api/billing/alerts` to that of its alerts. It is good once, for 24 hours,"
            " until another one was asked for, and for 5 wrong guesses. With `email` and a solved CAPTCHA: 202 whether"
            " the address has an account or not; if it has, and is not verified, another code is mailed there, at most"
            " 3 an hour, that of the registration included."
        ),
        who="public",
        handle=verify_email,
        body=VerifyEmail,
        body_example={"code": code_of(UUID(int=1), bytes(range(16)))},
        told=(
            Told(202, "If the address has an account and is not verified, a code was mailed to it."),
            Told(204, "The address is verified."),
        ),
        refusals=(CaptchaFailed, CodeRefused, RateLimited, CaptchaDown),
        quota=OF_CLIENT,
    ),
)
