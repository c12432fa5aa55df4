"""Verifying e-mail addresses by a mailed code: that of an account, and that which its alerts go to."""

from api.application.accounts.mailed_codes import find_code, have_code_mailed, new_code
from api.application.caller import Client
from api.application.runtime import Runtime
from domain.accounts import verifying
from domain.accounts.account import account_ref
from domain.accounts.verifying import VERIFICATIONS_OF_ADDRESS, RequestVerification
from domain.alerts.alerts import alerts_ref
from domain.alerts.codes import CodeRefused
from domain.alerts.commands import VerifyAddress
from domain.alerts.events import AddressVerified, EmailVerificationDone
from domain.events import Actor
from domain.ids import AccountId

_STEP = "verify-email"


async def request_verification(runtime: Runtime, client: Client, email: str) -> None:
    """Have a code mailed to an address, if it is that of an account and not verified yet."""

    async def have_mailed(account_id: AccountId) -> None:
        command = RequestVerification(*new_code(runtime, "verify-email"))
        account, alerts = account_ref(account_id), alerts_ref(account_id)
        await runtime.aggregates.execute(
            (account, alerts),
            lambda loaded, now: verifying.request_verification(loaded.of(account), command, now),
            client.context_of(account_id, _STEP, Actor("anonymous")),
        )

    await have_code_mailed(runtime, email, VERIFICATIONS_OF_ADDRESS, have_mailed)


async def verify_email(runtime: Runtime, client: Client, code: str) -> None:
    """Take an address for verified by the code that was mailed there. Raises CodeRefused."""
    # What a wrong, an expired and an unknown code are answered is the same.
    account_id, verification_id, digest = await find_code(runtime, "verify-email", code)
    account, alerts = account_ref(account_id), alerts_ref(account_id)
    command = VerifyAddress(verification_id, digest)
    executed = await runtime.aggregates.execute(
        (account, alerts),
        lambda loaded, now: verifying.verify_email(loaded.of(account), loaded.of(alerts), account_id, command, now),
        client.context_of(account_id, _STEP, Actor("anonymous")),
    )
    if not any(isinstance(event, AddressVerified | EmailVerificationDone) for _, event in executed.events):
        raise CodeRefused
