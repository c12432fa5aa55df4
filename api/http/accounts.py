"""Accounts over HTTP: registration, login, logout, who one is, another password."""

import asyncio
from typing import Annotated
from uuid import UUID

import msgspec

from api.application.refusals import CaptchaFailed, RateLimited
from api.application.settings import Settings
from api.http.bridge import NO_CONTENT, Answer, Call, Endpoint, Told, act, told
from api.http.mailed_codes import is_within, new_code
from api.http.passwords import (
    PASSWORD_REFUSALS,
    Captcha,
    Shown,
    check_password,
    login_quota,
    record_failure,
    try_password,
)
from api.http.pipeline.errors import Busy, CaptchaDown
from api.http.rendering import Balance, Micros, balance_number
from domain.accounts import account as accounts
from domain.accounts import logins, verifying
from domain.accounts.commands import ChangePassword, EndSession, RegisterAccount
from domain.accounts.emails import checked_email, email_form
from domain.accounts.passwords import checked_password
from domain.accounts.ports import Quota
from domain.accounts.verifying import VERIFICATIONS_OF_ADDRESS, RequestVerification
from domain.alerts.alerts import alerts_ref
from domain.events import Actor
from domain.ids import AccountId
from domain.ports import ClaimTaken
from domain.wallet.wallet import wallet_ref

FAILURE_TAKES_S = 0.15
"""How long a failed login takes at least, so that what had to be looked up cannot be told from the time."""

_EMAIL = "you@example.com"
_TOKEN = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiIwMTkz…"  # noqa: S105
_ID = "01937b1e-5c00-7000-8000-000000000001"


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an account is made of."""

    email: str
    password: str
    captcha: str = msgspec.field(name="cf-turnstile-response", default="")


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a login shows."""

    email: str
    password: str
    captcha: Captcha = msgspec.field(name="cf-turnstile-response", default=None)


class NewPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password that an account has, and the one that it is to have."""

    password: str
    new_password: str
    captcha: Captcha = msgspec.field(name="cf-turnstile-response", default=None)


class Registered(msgspec.Struct, frozen=True):
    """A new account, logged in."""

    id: UUID
    email: str
    token: str


class LoggedIn(msgspec.Struct, frozen=True):
    """A JWT that is good for 12 hours."""

    token: str


class Me(msgspec.Struct, frozen=True):
    """An account as it sees itself."""

    id: UUID
    email: str
    email_verified: Annotated[bool, msgspec.Meta(description="Whether a code that was mailed there was shown.")]
    balance: Balance
    balance_micros: Micros
    roles: tuple[str, ...]


async def register(call: Call) -> Answer:
    """Make an account and its wallet, have a code mailed to its address, and log it in."""
    body: Registration = call.body
    runtime = call.runtime
    email = checked_email(body.email)
    password = checked_password(body.password)
    if not await runtime.captcha.passed(body.captcha, call.arrival.address):
        raise CaptchaFailed
    email_key = runtime.sealer.keyed_hash(accounts.EMAIL_CLAIM, email)
    if await runtime.store.find_claim(accounts.EMAIL_CLAIM, email_key) is not None:
        raise accounts.EmailTaken
    account_id = AccountId(runtime.ids.new())
    command = RegisterAccount(account_id, body.email, email_key, await runtime.passwords.hash(password))
    verification = RequestVerification(*new_code(call, "verify-email"))
    is_mailed = await is_within(call, VERIFICATIONS_OF_ADDRESS, email_key)
    refs = (accounts.account_ref(account_id), wallet_ref(account_id), alerts_ref(account_id))
    try:
        outcome = await runtime.aggregates.execute(
            refs,
            lambda _sight, now: verifying.register(command, verification if is_mailed else None, now),
            call.context_of(account_id, "register", Actor("account", account_id)),
        )
    except ClaimTaken:
        raise accounts.EmailTaken from None
    token, _ = runtime.sessions.issue(account_id, outcome.loaded.of(refs[0]).password_number, runtime.clock.now())
    return told(201, Registered(account_id, body.email, token))


async def log_in(call: Call) -> Answer:
    """Answer a JWT for the right password; what a wrong one and an unknown address do is the same."""
    began_s = asyncio.get_running_loop().time()
    body: Credentials = call.body
    runtime = call.runtime
    email_key = runtime.sealer.keyed_hash(accounts.EMAIL_CLAIM, email_form(body.email))
    claim = await runtime.store.find_claim(accounts.EMAIL_CLAIM, email_key)
    # An address without an account has an id of its own to count its failures under.
    subject = AccountId(claim.holder if claim else UUID(bytes=email_key[:16]))
    ref = accounts.account_ref(subject)
    account = (await runtime.aggregates.load(ref)).of(ref)
    attempt = await try_password(call, subject, account, Shown(body.password, body.captcha))
    if not attempt.right:
        await record_failure(call, attempt, account.id)
        await asyncio.sleep(began_s + FAILURE_TAKES_S - asyncio.get_running_loop().time())
        raise logins.InvalidCredentials
    token, session = runtime.sessions.issue(subject, account.password_number, runtime.clock.now())
    tries = logins.tries_ref(attempt.tries_id)
    decision = logins.succeed(tries.stream, subject, session.jti)
    context = call.context_of(subject, "login", Actor("account", subject))
    await runtime.aggregates.execute((tries,), lambda _sight, _now: decision, context)
    return told(200, LoggedIn(token))


async def log_out(call: Call) -> Answer:
    """End the session that asks."""
    ref = accounts.account_ref(call.account_id)
    assert call.session is not None
    command = EndSession(call.session.jti, call.session.expires_at)
    return await act(
        call,
        (ref,),
        lambda loaded, _: accounts.end_session(loaded.of(ref), command),
        lambda _sight, _now: NO_CONTENT,
        "logout",
    )


async def me(call: Call) -> Answer:
    """Tell who asks, and the balance."""
    account = call.owner
    assert call.balance is not None
    roles: tuple[str, ...] = account.roles
    return told(
        200,
        Me(call.account_id, account.email, account.email_verified, balance_number(call.balance), call.balance, roles),
    )


async def change_password(call: Call) -> Answer:
    """Give the account another password, which ends every session."""
    body: NewPassword = call.body
    runtime = call.runtime
    new_password = checked_password(body.new_password, "new_password")
    await check_password(call, Shown(body.password, body.captcha))
    ref = accounts.account_ref(call.account_id)
    command = ChangePassword(await runtime.passwords.hash(new_password), call.owner.password_number)
    await runtime.aggregates.execute(
        (ref,),
        lambda loaded, _now: accounts.change_password(loaded.of(ref), command),
        call.context("password"),
    )
    return NO_CONTENT


_REGISTER_DESCRIPTION = (
    "Needs the token of a solved CAPTCHA, so this is for people rather than programs. The address is mailed a code that"
    " verifies it (`POST /api/auth/verify-email`); nothing waits for that."
)
_LOGIN_DESCRIPTION = (
    "Good for 12 hours. After wrong passwords, the network that they came from has to wait ever longer for this"
    " e-mail address; so have all networks that it never logged in from, once many were wrong. `cf-turnstile-response`,"
    " the token of a solved CAPTCHA, is looked at only then: by it the right password gets in at once."
)


def endpoints(settings: Settings) -> tuple[Endpoint, ...]:
    """Return the endpoints of accounts, with the quotas that are in force."""
    return (*_of_sessions(settings), *_OF_ONES_OWN)


def _of_sessions(settings: Settings) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            method="POST",
            path="/api/auth/register",
            name="register",
            tag="accounts",
            summary="Make an account",
            description=_REGISTER_DESCRIPTION,
            who="public",
            handle=register,
            body=Registration,
            body_example={"email": _EMAIL, "password": "password123", "cf-turnstile-response": "…"},
            told=(
                Told(
                    201,
                    "The account, and a JWT for it.",
                    Registered,
                    {"id": _ID, "email": _EMAIL, "token": _TOKEN},
                ),
            ),
            refusals=(CaptchaFailed, accounts.EmailTaken, RateLimited, CaptchaDown, Busy),
            quota=Quota("registration", settings.registrations_per_minute, 60),
        ),
        Endpoint(
            method="POST",
            path="/api/auth/login",
            name="login",
            tag="accounts",
            summary="Get a JWT",
            description=_LOGIN_DESCRIPTION,
            who="public",
            handle=log_in,
            body=Credentials,
            body_example={"email": _EMAIL, "password": "password123"},
            told=(Told(200, "A JWT.", LoggedIn, {"token": _TOKEN}),),
            refusals=(logins.InvalidCredentials, *PASSWORD_REFUSALS),
            quota=login_quota(settings),
        ),
        Endpoint(
            method="POST",
            path="/api/auth/logout",
            name="logout",
            tag="accounts",
            summary="End this session",
            who="account",
            handle=log_out,
            told=(Told(204, "The JWT is no longer good."),),
        ),
    )


_OF_ONES_OWN = (
    Endpoint(
        method="GET",
        path="/api/me",
        name="me",
        tag="accounts",
        summary="Who am I",
        who="account",
        scope="any",
        handle=me,
        told=(
            Told(
                200,
                "The account.",
                Me,
                {
                    "id": _ID,
                    "email": _EMAIL,
                    "email_verified": True,
                    "balance": 10.5,
                    "balance_micros": 10_500_000,
                    "roles": [],
                },
            ),
        ),
    ),
    Endpoint(
        method="PUT",
        path="/api/me/password",
        name="change_password",
        tag="accounts",
        summary="Change the password",
        description="Ends every session of the account, this one included. A wrong password counts as a failed login.",
        who="account",
        handle=change_password,
        body=NewPassword,
        body_example={"password": "password123", "new_password": "correct horse battery"},
        told=(Told(204, "The password is another one; every JWT is no longer good."),),
        refusals=(accounts.WrongPassword, *PASSWORD_REFUSALS),
    ),
)
