"""Closing one's account over HTTP."""

import msgspec

from api.application.closing import leave
from api.http.bridge import Answer, Call, Endpoint, Told, told
from api.http.passwords import PASSWORD_REFUSALS, Captcha, Shown, check_password
from api.http.rendering import Amount, amount_number
from domain.accounts.account import WrongPassword


class Farewell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password once more, since this cannot be undone."""

    password: str
    captcha: Captcha = msgspec.field(name="cf-turnstile-response", default=None)


class Closed(msgspec.Struct, frozen=True):
    """What becomes of the balance of a closed account."""

    refunded: Amount
    forfeited: Amount


async def close_me(call: Call) -> Answer:
    """Close the account, delete its VPSs, and pay back what is left."""
    body: Farewell = call.body
    await check_password(call, Shown(body.password, body.captcha))
    progress = await leave(call.runtime, call.account_id, call.owner.email, call.context("close"))
    closed = Closed(amount_number(progress.refunded), amount_number(progress.forfeited))
    return msgspec.structs.replace(told(200 if progress.finished else 202, closed), balance=progress.balance)


_EXAMPLE = {"refunded": 7.25, "forfeited": 0.0031}

ENDPOINTS = (
    Endpoint(
        method="DELETE",
        path="/api/me",
        name="close_account",
        tag="accounts",
        summary="Close the account",
        description=(
            "For good: its sessions, tokens and alerts end, its VPSs are deleted, its open checkouts expire, its"
            " e-mail address is free again. Minutes that ran are paid first; of the rest of the balance, what was"
            " paid in goes back where it came from, in whole cents. What was given, and what is below a cent, is"
            " forfeited. A wrong password counts as a failed login."
        ),
        who="account",
        handle=close_me,
        body=Farewell,
        body_example={"password": "password123"},
        told=(
            Told(200, "It is closed; what was refunded is on its way.", Closed, _EXAMPLE),
            Told(
                202,
                "It is closed; VPSs are still being removed. The sums are as things stand: what still has to be"
                " paid comes off `refunded`, and it goes back once nothing runs any more.",
                Closed,
                _EXAMPLE,
            ),
        ),
        refusals=(WrongPassword, *PASSWORD_REFUSALS),
    ),
)
