"""Codes by mail: asked for so that nothing tells whether an address has an account, and found when shown."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from api.application.caller import Client
from api.application.refusals import CaptchaFailed
from api.application.runtime import Runtime
from domain.accounts.account import EMAIL_CLAIM
from domain.accounts.emails import email_form
from domain.accounts.ports import Quota
from domain.alerts.codes import SCOPES, CodeKind, CodeRefused, code_under, digest_of, id_in
from domain.ids import AccountId


async def check_captcha(runtime: Runtime, client: Client, captcha: str) -> None:
    """Raise CaptchaFailed unless the token proves that a person asks, or CaptchaUnavailable."""
    if not await runtime.captcha.passed(captcha, client.address):
        raise CaptchaFailed


async def have_code_mailed(
    runtime: Runtime, email: str, of_address: Quota, have_mailed: Callable[[AccountId], Awaitable[object]]
) -> None:
    """Have a code mailed if the address has an account, and was not mailed too many.

    What is answered must not tell which, so whoever shows it to a stranger has it take as long in either case.
    """
    email_key = runtime.sealer.keyed_hash(EMAIL_CLAIM, email_form(email))
    may_be_mailed = await is_within(runtime, of_address, email_key)
    claim = await runtime.store.find_claim(EMAIL_CLAIM, email_key)
    if claim is not None and may_be_mailed:
        await have_mailed(AccountId(claim.holder))


async def is_within(runtime: Runtime, of_address: Quota, email_key: bytes) -> bool:
    """Count a mail to an address, by its hash, and tell whether that is within its share: beyond, none is sent."""
    (tally,) = await runtime.rate_counters.count([(of_address, email_key.hex())])
    return tally.count <= of_address.tries


def new_code(runtime: Runtime, kind: CodeKind) -> tuple[UUID, str]:
    """Return the id and the digest of a new code."""
    code_id = runtime.ids.new()
    return code_id, digest_of(code_under(runtime.sealer, kind, code_id))


async def find_code(runtime: Runtime, kind: CodeKind, code: str) -> tuple[AccountId, UUID, str]:
    """Return whose code it is that is shown, its id and its digest. Raises CodeRefused."""
    code_id = id_in(code)
    claim = None if code_id is None else await runtime.store.find_claim(SCOPES[kind], code_id.bytes)
    if claim is None or code_id is None:
        raise CodeRefused
    return AccountId(claim.holder), code_id, digest_of(code)
