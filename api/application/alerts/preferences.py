"""Where the alerts of an account go, as its owner wants it, whoever asks."""

from api.application import rate_limits
from api.application.accounts.mailed_codes import new_code
from api.application.caller import Caller
from api.application.runtime import Runtime
from domain.accounts.emails import checked_email
from domain.accounts.ports import Quota
from domain.alerts import alerts
from domain.alerts.alerts import Alerts, alerts_ref
from domain.alerts.commands import SetAlerts
from domain.money import MicroUsd

OF_ACCOUNT = Quota("verification-account", 5, 3600)
OF_ADDRESS = Quota("verification-address", 3, 3600)
"""How many codes are mailed for one account, and to one address, so that nobody is flooded with mail."""
_STEP = "alerts"


async def set_alerts(runtime: Runtime, caller: Caller, email: str, thresholds: tuple[MicroUsd, ...] | None) -> Alerts:
    """Have alerts go to an address, which is mailed a code unless it is verified.

    ``thresholds``: the account is told when its balance falls to or below one; None: the usual one. Raises Invalid or
    RateLimited.
    """
    ref, checked = alerts_ref(caller.account_id), checked_email(email)
    wanted = alerts.checked_thresholds(alerts.THRESHOLDS_DEFAULT if thresholds is None else thresholds)
    if alerts.needs_verification((await runtime.aggregates.load(ref)).of(ref), checked):
        await _check_flood(runtime, caller, checked)
    command = SetAlerts(email, wanted, *new_code(runtime, "verification"))
    executed = await runtime.aggregates.execute(
        (ref,),
        lambda loaded, now: alerts.set_alerts(loaded.of(ref), caller.account_id, command, now),
        caller.context(_STEP),
    )
    return executed.loaded.of(ref)


async def switch_alerts_off(runtime: Runtime, caller: Caller) -> Alerts:
    """Have alerts go nowhere."""
    ref = alerts_ref(caller.account_id)
    executed = await runtime.aggregates.execute(
        (ref,), lambda loaded, _now: alerts.switch_off(loaded.of(ref), caller.account_id), caller.context(_STEP)
    )
    return executed.loaded.of(ref)


async def get_alerts(runtime: Runtime, caller: Caller) -> Alerts:
    """Return where alerts go."""
    ref = alerts_ref(caller.account_id)
    return (await runtime.aggregates.load(ref)).of(ref)


async def _check_flood(runtime: Runtime, caller: Caller, email: str) -> None:
    # The address itself is not to lie about among the counters.
    address = runtime.sealer.keyed_hash(OF_ADDRESS.name, email).hex()
    of_account, of_address = await runtime.rate_counters.count(
        [(OF_ACCOUNT, str(caller.account_id)), (OF_ADDRESS, address)]
    )
    rate_limits.check(OF_ACCOUNT, of_account)
    rate_limits.check(OF_ADDRESS, of_address)
