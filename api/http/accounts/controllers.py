"""Accounts over HTTP: sessions, what one's own account is, and what is done by mailed codes."""

import asyncio
from uuid import UUID

import msgspec
from litestar import Controller, delete, get, post, put
from litestar.params import RequestBody

from api.application.accounts import own_account, resetting, sessions, verifying
from api.application.accounts.mailed_codes import check_captcha
from api.application.accounts.passwords import login_quota
from api.application.refusals import CaptchaFailed, RateLimited
from api.application.settings import Settings
from api.http.accounts.schemas import (
    ACCOUNT_EXAMPLE,
    CLOSED_EXAMPLE,
    EMAIL,
    ID,
    TOKEN,
    AccountResponse,
    CloseAccountRequest,
    ClosedAccount,
    Credentials,
    LoggedIn,
    NewPassword,
    PasswordReset,
    Registered,
    Registration,
    VerifyEmail,
)
from api.http.openapi.docs import Docs, ResponseDocs
from api.http.pipeline.errors import Busy, CaptchaDown
from api.http.pipeline.idempotency import once
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse
from domain.accounts.account import EmailTaken, WrongPassword
from domain.accounts.logins import CaptchaOrWait, InvalidCredentials, TooManyAttempts
from domain.accounts.ports import Quota
from domain.alerts.codes import CodeRefused, code_of
from domain.errors import Invalid

FAILURE_TAKES_S = 0.15
"""How long a failed login takes at least, so that what had to be looked up cannot be told from the time."""
MAILING_TAKES_S = 0.15
"""How long it takes at least to ask for a mailed code, so that what was found cannot be told from the time."""
PASSWORD_REFUSALS = (
    CaptchaOrWait, TooManyAttempts, CaptchaFailed, CaptchaDown, RateLimited, Busy,
)  # fmt: skip
"""What every operation that has a password looked at may answer, whoever shows it."""


def registration_quota(settings: Settings) -> Quota:
    """Return how many accounts one address may make."""
    return Quota("registration", settings.registrations_per_minute, 60)


def verification_quota(_settings: Settings) -> Quota:
    """Return how often one address may show or ask for a code that verifies an address."""
    return Quota("verify-email", 10, 60)


def reset_quota(_settings: Settings) -> Quota:
    """Return how often one address may show or ask for a code for another password."""
    return Quota("password-reset", 10, 60)


class SessionsController(Controller):
    """Registration, login and logout."""

    path = "/api/auth"
    tags = ["accounts"]

    @post(
        "/register",
        operation_id="register",
        summary="Make an account",
        description=(
            "Needs the token of a solved CAPTCHA, so this is for people rather than programs. The address is mailed a"
            " code that verifies it (`POST /api/auth/verify-email`); nothing waits for that."
        ),
        public=True,
        quota=registration_quota,
        docs=Docs(
            "The account, and a JWT for it.",
            {"id": ID, "email": EMAIL, "token": TOKEN},
            refuses=(CaptchaFailed, EmailTaken, RateLimited, CaptchaDown, Busy),
            body_example={"email": EMAIL, "password": "password123", "cf-turnstile-response": "…"},
        ),
    )
    async def register(self, request: ApiRequest, data: RequestBody[Registration]) -> Registered:
        """Make an account and its wallet, have a code mailed to its address, and log it in."""
        made = await sessions.register(request.runtime, request.client, data.email, data.password, data.captcha)
        return Registered.of(made)

    @post(
        "/login",
        operation_id="login",
        summary="Get a JWT",
        description=(
            "Good for 12 hours. After wrong passwords, the network that they came from has to wait ever longer for this"
            " e-mail address; so have all networks that it never logged in from, once many were wrong."
            " `cf-turnstile-response`, the token of a solved CAPTCHA, is looked at only then: by it the right password"
            " gets in at once."
        ),
        status_code=200,
        public=True,
        quota=login_quota,
        docs=Docs(
            "A JWT.",
            {"token": TOKEN},
            refuses=(InvalidCredentials, *PASSWORD_REFUSALS),
            body_example={"email": EMAIL, "password": "password123"},
        ),
    )
    async def log_in(self, request: ApiRequest, data: RequestBody[Credentials]) -> LoggedIn:
        """Answer a JWT for the right password; what a wrong one and an unknown address do is the same."""
        began_s = asyncio.get_running_loop().time()
        try:
            return LoggedIn(
                await sessions.log_in(request.runtime, request.client, data.email, data.presented_password())
            )
        except InvalidCredentials:
            await asyncio.sleep(began_s + FAILURE_TAKES_S - asyncio.get_running_loop().time())
            raise

    @post(
        "/logout",
        operation_id="logout",
        summary="End this session",
        status_code=204,
        docs=Docs("The JWT is no longer good."),
    )
    async def log_out(self, request: ApiRequest) -> ApiResponse[None]:
        """End the session that asks."""
        return await once(
            request,
            lambda kept: sessions.log_out(request.runtime, request.caller, kept),
            lambda _: ApiResponse(None, status_code=204),
        )


class OwnAccountController(Controller):
    """One's own account."""

    path = "/api/me"
    tags = ["accounts"]

    @get(
        operation_id="me",
        summary="Who am I",
        scope="any",
        docs=Docs("The account.", ACCOUNT_EXAMPLE),
    )
    async def get_own(self, request: ApiRequest) -> AccountResponse:
        """Tell who asks, and the balance."""
        return AccountResponse.of(request.caller.account_id, request.account, request.wallet.balance)

    @delete(
        operation_id="close_account",
        summary="Close the account",
        description=(
            "For good: its sessions, tokens and alerts end, its VPSs are deleted, its open checkouts expire, its"
            " e-mail address is free again. Minutes that ran are paid first; of the rest of the balance, what was"
            " paid in goes back where it came from, in whole cents. What was given, and what is below a cent, is"
            " forfeited. A wrong password counts as a failed login."
        ),
        status_code=200,
        docs=Docs(
            "It is closed; what was refunded is on its way.",
            CLOSED_EXAMPLE,
            also=(
                ResponseDocs(
                    202,
                    "It is closed; VPSs are still being removed. The sums are as things stand: what still has to be"
                    " paid comes off `refunded`, and it goes back once nothing runs any more.",
                    ClosedAccount,
                    CLOSED_EXAMPLE,
                ),
            ),
            refuses=(WrongPassword, *PASSWORD_REFUSALS),
            body_example={"password": "password123"},
        ),
    )
    async def close(self, request: ApiRequest, data: RequestBody[CloseAccountRequest]) -> ApiResponse[ClosedAccount]:
        """Close the account, delete its VPSs, and pay back what is left."""
        progress = await own_account.close_own_account(request.runtime, request.caller, data.presented_password())
        wallet = msgspec.structs.replace(request.wallet, balance=progress.balance)
        return ApiResponse(ClosedAccount.of(progress), status_code=200 if progress.finished else 202, wallet=wallet)

    @put(
        "/password",
        operation_id="change_password",
        summary="Change the password",
        description="Ends every session of the account, this one included. A wrong password counts as a failed login.",
        status_code=204,
        docs=Docs(
            "The password is another one; every JWT is no longer good.",
            refuses=(WrongPassword, *PASSWORD_REFUSALS),
            body_example={"password": "password123", "new_password": "correct horse battery"},
        ),
    )
    async def change_password(self, request: ApiRequest, data: RequestBody[NewPassword]) -> None:
        """Give the account another password, which ends every session."""
        await own_account.change_password(request.runtime, request.caller, data.presented_password(), data.new_password)


class MailedCodesController(Controller):
    """What is done by codes that come by mail."""

    path = "/api/auth"
    tags = ["accounts"]
    opt = {"public": True}

    @post(
        "/verify-email",
        operation_id="verify_email",
        summary="Verify an e-mail address",
        description=(
            "With `code`, which came by mail: after registration to the address of the account (`email_verified` of"
            " `GET /api/me`), after `PUT /api/billing/alerts` to that of its alerts. It is good once, for 24 hours,"
            " until another one was asked for, and for 5 wrong guesses. With `email` and a solved CAPTCHA: 202 whether"
            " the address has an account or not; if it has, and is not verified, another code is mailed there, at most"
            " 3 an hour, that of the registration included."
        ),
        status_code=202,
        quota=verification_quota,
        docs=Docs(
            "If the address has an account and is not verified, a code was mailed to it.",
            also=(ResponseDocs(204, "The address is verified."),),
            refuses=(CaptchaFailed, CodeRefused, RateLimited, CaptchaDown),
            body_example={"code": code_of(UUID(int=1), bytes(range(16)))},
        ),
    )
    async def verify_email(self, request: ApiRequest, data: RequestBody[VerifyEmail]) -> ApiResponse[None]:
        """Take a code, or have one mailed."""
        runtime, client = request.runtime, request.client
        match data.email, data.code:
            case None, str(code):
                await verifying.verify_email(runtime, client, code)
                return ApiResponse(None, status_code=204)
            case str(email), None:
                await check_captcha(runtime, client, data.captcha)
                began_s = asyncio.get_running_loop().time()
                await verifying.request_verification(runtime, client, email)
                return await _mailed(began_s)
            case _:
                raise Invalid(fields={"code": "either it or email is required, and not both"})

    @post(
        "/password-reset",
        operation_id="password_reset",
        summary="Get another password by mail",
        description=(
            "First with `email` and a solved CAPTCHA: 202 whether the address has an account or not; if it has, a code"
            " is mailed there, at most 3 an hour. By that alone no session and no password ends. Then with `code` and"
            " `new_password`: the code is good once, for an hour, until another one was asked for, and for 5 wrong"
            " guesses. Another password ends every JWT, and the address is verified by it. Waits of the login do not"
            " hold this up."
        ),
        status_code=202,
        quota=reset_quota,
        docs=Docs(
            "If the address has an account, a code was mailed to it.",
            also=(ResponseDocs(204, "The password is another one; every JWT is no longer good."),),
            refuses=(CaptchaFailed, CodeRefused, RateLimited, CaptchaDown, Busy),
            body_example={"email": EMAIL, "cf-turnstile-response": "…"},
        ),
    )
    async def reset_password(self, request: ApiRequest, data: RequestBody[PasswordReset]) -> ApiResponse[None]:
        """Have a code mailed, or take one."""
        runtime, client = request.runtime, request.client
        match data.email, data.code, data.new_password:
            case str(email), None, None:
                await check_captcha(runtime, client, data.captcha)
                began_s = asyncio.get_running_loop().time()
                await resetting.request_reset(runtime, client, email)
                return await _mailed(began_s)
            case str(), None, str():
                raise Invalid(fields={"new_password": "goes with code"})
            case None, str(), None:
                raise Invalid(fields={"new_password": "required"})
            case None, str(code), str(new_password):
                await resetting.reset_password(runtime, client, code, new_password)
                return ApiResponse(None, status_code=204)
            case _:
                raise Invalid(fields={"email": "either it or code is required, and not both"})


async def _mailed(began_s: float) -> ApiResponse[None]:
    await asyncio.sleep(began_s + MAILING_TAKES_S - asyncio.get_running_loop().time())
    return ApiResponse(None, status_code=202)
