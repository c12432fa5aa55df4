"""What became of an account's money over HTTP: transactions, balances, usage, and why a charge was made."""

from litestar import Controller, get
from litestar.params import FromPath

from api.application.billing.balance import balance_now, get_balance
from api.application.billing.charge_breakdown import explain_charge
from api.application.billing.transactions import list_transactions
from api.application.billing.usage import get_usage
from api.http.billing.charge_schemas import CHARGE_SCHEMA, EXPLAINED_EXAMPLE, ChargeResponse
from api.http.billing.schemas import (
    BALANCE_EXAMPLE,
    TRANSACTION_EXAMPLE,
    USAGE_EXAMPLE,
    BalanceQuery,
    BalanceResponse,
    TransactionResponse,
    TransactionsQuery,
    UsageQuery,
    UsageResponse,
)
from api.http.openapi.docs import Docs
from api.http.pages import PAGE_HEADERS, page_of
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse
from domain.errors import Invalid
from projections.reading import ProjectionBehind


class BillingController(Controller):
    """What became of an account's money."""

    path = "/api/billing"
    tags = ["billing"]
    opt = {"scope": "billing:read"}

    @get(
        "/transactions",
        operation_id="list_transactions",
        summary="Where did my money come from, and where did it go",
        description=(
            "Every movement of the balance, newest first, and every minute that was waived. The next page is by"
            " ``cursor``, so that none is missed or told twice while others are recorded."
        ),
        query=TransactionsQuery,
        docs=Docs("The transactions.", [TRANSACTION_EXAMPLE], PAGE_HEADERS, refuses=(ProjectionBehind,)),
    )
    async def list_transactions(self, request: ApiRequest) -> ApiResponse[list[TransactionResponse]]:
        """Tell every movement of the balance, newest first."""
        query = request.asked(TransactionsQuery)
        wanted, by_minute = query.to_query(request.caller.account_id), query.detail == "minute"
        found = await list_transactions(request.runtime, wanted, by_minute=by_minute)
        shown = [TransactionResponse.of(one) for one in found.shown]
        return page_of(request, shown, found.total, older=_key(found.older), newer=_key(found.newer))

    @get(
        "/balance",
        operation_id="get_balance",
        summary="What is, or was, my balance",
        description=(
            "At any instant since there is the account; before, it is zero. Of now, it is told as well what the account"
            " owes: while that is anything, it is frozen, and what comes in pays it first."
        ),
        query=BalanceQuery,
        docs=Docs("The balance.", BALANCE_EXAMPLE, refuses=(ProjectionBehind,)),
    )
    async def get_balance(self, request: ApiRequest) -> BalanceResponse:
        """Tell the balance now, or as it was recorded by an instant."""
        runtime, at = request.runtime, request.asked(BalanceQuery).instant()
        if at is None:
            return BalanceResponse.of(balance_now(runtime, request.wallet))
        return BalanceResponse.of(await get_balance(runtime, request.caller, at))

    @get(
        "/usage",
        operation_id="get_usage",
        summary="What did I use",
        description=(
            "Minutes by when they began. A VPS counts in the group of each of its labels, so that groups by label may"
            " come to more than ``total``."
        ),
        query=UsageQuery,
        docs=Docs("Minutes and money, in all and by group.", USAGE_EXAMPLE, refuses=(ProjectionBehind,)),
    )
    async def get_usage(self, request: ApiRequest) -> UsageResponse:
        """Tell minutes and money by group, deleted VPSs included."""
        query = request.asked(UsageQuery)
        usage = await get_usage(request.runtime, request.caller, query.since(), query.until(), query.grouping())
        return UsageResponse.of(usage)

    @get(
        "/charges/{charge_id:str}/explain",
        operation_id="explain_charge",
        summary="Why was I charged this",
        description=(
            "By the id of a transaction. Of minutes: the events that started and stopped the VPS, the price in force,"
            " the formula with its numbers, and what proves that it ran; minutes that were waived as well, at most 120"
            " at once. Of funds: the event that moved them."
        ),
        docs=Docs(
            "What is behind it.",
            EXPLAINED_EXAMPLE,
            refuses=(ProjectionBehind, Invalid),
            path_schemas={"charge_id": CHARGE_SCHEMA},
        ),
    )
    async def explain_charge(self, request: ApiRequest, charge_id: FromPath[str]) -> ChargeResponse:
        """Tell what is behind a transaction, by its id."""
        return ChargeResponse.of(await explain_charge(request.runtime, request.caller, charge_id))


def _key(place: tuple[int, int] | None) -> str | None:
    return None if place is None else f"{place[0]}-{place[1]}"
