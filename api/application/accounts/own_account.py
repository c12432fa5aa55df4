"""One's own account: its password changed, and closed for good."""

from api.application.accounts.passwords import PresentedPassword, check_password
from api.application.caller import Caller
from api.application.closing import Progress, leave
from api.application.runtime import Runtime
from domain.accounts import account as accounts
from domain.accounts.account import account_ref
from domain.accounts.commands import ChangePassword
from domain.accounts.passwords import checked_password


async def change_password(runtime: Runtime, caller: Caller, presented: PresentedPassword, new_password: str) -> None:
    """Give the account another password, which ends every session.

    Raises Invalid, WrongPassword, or what ``check_password`` does.
    """
    checked = checked_password(new_password, "new_password")
    ref = account_ref(caller.account_id)
    account = (await runtime.aggregates.load(ref)).of(ref)
    await check_password(runtime, caller, account, presented)
    command = ChangePassword(await runtime.passwords.hash(checked), account.password_number)
    await runtime.aggregates.execute(
        (ref,), lambda loaded, _now: accounts.change_password(loaded.of(ref), command), caller.context("password")
    )


async def close_own_account(runtime: Runtime, caller: Caller, presented: PresentedPassword) -> Progress:
    """Close the account, delete its VPSs, and pay back what is left, as far as that can be done now.

    Raises WrongPassword, or what ``check_password`` does.
    """
    ref = account_ref(caller.account_id)
    account = (await runtime.aggregates.load(ref)).of(ref)
    await check_password(runtime, caller, account, presented)
    return await leave(runtime, caller.account_id, account.email, caller.context("close"))
