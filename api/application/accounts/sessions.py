"""Sessions: an account is made, logged into and logged out of."""

from uuid import UUID

import msgspec

from api.application.accounts.mailed_codes import check_captcha, is_within, new_code
from api.application.accounts.passwords import PresentedPassword, record_failure, try_password
from api.application.caller import Caller, Client
from api.application.once import Once
from api.application.runtime import Runtime
from domain.accounts import account as accounts
from domain.accounts import logins, verifying
from domain.accounts.commands import EndSession, RegisterAccount
from domain.accounts.emails import checked_email, email_form
from domain.accounts.passwords import checked_password
from domain.accounts.verifying import VERIFICATIONS_OF_ADDRESS, RequestVerification
from domain.alerts.alerts import alerts_ref
from domain.events import Actor
from domain.ids import AccountId
from domain.ports import ClaimTaken
from domain.tokens.token import ForbiddenForTokens
from domain.wallet.wallet import wallet_ref


class RegisteredAccount(msgspec.Struct, frozen=True):
    """A new account, logged in."""

    account_id: AccountId
    email: str
    session_token: str


async def register(runtime: Runtime, client: Client, email: str, password: str, captcha: str) -> RegisteredAccount:
    """Make an account and its wallet, have a code mailed to its address, and log it in.

    Raises Invalid, CaptchaFailed, CaptchaUnavailable, EmailTaken or PasswordsBusy.
    """
    form = checked_email(email)
    checked = checked_password(password)
    await check_captcha(runtime, client, captcha)
    email_key = runtime.sealer.keyed_hash(accounts.EMAIL_CLAIM, form)
    if await runtime.store.find_claim(accounts.EMAIL_CLAIM, email_key) is not None:
        raise accounts.EmailTaken
    account_id = AccountId(runtime.ids.new())
    command = RegisterAccount(account_id, email, email_key, await runtime.passwords.hash(checked))
    verification = RequestVerification(*new_code(runtime, "verify-email"))
    is_mailed = await is_within(runtime, VERIFICATIONS_OF_ADDRESS, email_key)
    account = accounts.account_ref(account_id)
    try:
        executed = await runtime.aggregates.execute(
            (account, wallet_ref(account_id), alerts_ref(account_id)),
            lambda _loaded, now: verifying.register(command, verification if is_mailed else None, now),
            client.context_of(account_id, "register", Actor("account", account_id)),
        )
    except ClaimTaken:
        raise accounts.EmailTaken from None
    number = executed.loaded.of(account).password_number
    token, _ = runtime.sessions.issue(account_id, number, runtime.clock.now())
    return RegisteredAccount(account_id, email, token)


async def log_in(runtime: Runtime, client: Client, email: str, presented: PresentedPassword) -> str:
    """Return the token of a new session for the right password.

    What a wrong one and an unknown address do is the same; how long it takes is for whoever tells a stranger. Raises
    InvalidCredentials, CaptchaOrWait, TooManyAttempts, CaptchaFailed, CaptchaUnavailable or PasswordsBusy.
    """
    email_key = runtime.sealer.keyed_hash(accounts.EMAIL_CLAIM, email_form(email))
    claim = await runtime.store.find_claim(accounts.EMAIL_CLAIM, email_key)
    # An address without an account has an id of its own to count its failures under.
    subject = AccountId(claim.holder if claim else UUID(bytes=email_key[:16]))
    ref = accounts.account_ref(subject)
    account = (await runtime.aggregates.load(ref)).of(ref)
    attempt = await try_password(runtime, client, subject, account, presented)
    if not attempt.right:
        await record_failure(runtime, client, attempt, account.id)
        raise logins.InvalidCredentials
    token, session = runtime.sessions.issue(subject, account.password_number, runtime.clock.now())
    tries = logins.tries_ref(attempt.tries_id)
    decision = logins.succeed(tries.stream, subject, session.jti)
    context = client.context_of(subject, "login", Actor("account", subject))
    await runtime.aggregates.execute((tries,), lambda _loaded, _now: decision, context)
    return token


async def log_out(runtime: Runtime, caller: Caller, once: Once[None] | None = None) -> None:
    """End the session that asks. Raises ForbiddenForTokens where a token does."""
    if caller.session is None:
        raise ForbiddenForTokens
    ref = accounts.account_ref(caller.account_id)
    command = EndSession(caller.session.jti, caller.session.expires_at)
    await runtime.aggregates.execute(
        (ref,),
        lambda loaded, _now: accounts.end_session(loaded.of(ref), command),
        caller.context("logout"),
        result=lambda _decided: None,
        once=once,
    )
