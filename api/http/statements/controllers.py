"""Monthly statements over HTTP: as JSON, CSV or PDF, whichever is accepted best."""

import asyncio

from litestar import Controller, get
from litestar.params import FromPath

from api.application.statements.csv_form import csv_of
from api.application.statements.issuing import statement_for
from api.application.statements.pdf_form import pdf_of
from api.http.openapi.docs import Docs
from api.http.pages import PAGE_HEADERS, Page, paged
from api.http.pipeline.errors import NotAcceptable
from api.http.pipeline.negotiation import preferred
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse, ok
from api.http.statements.schemas import (
    EXAMPLE,
    LISTED_EXAMPLE,
    MONTH_SCHEMA,
    IssuedStatement,
    StatementResponse,
    issued_statement,
    statement_response,
)
from domain.errors import Invalid, NotFound
from domain.statements.month import parse_month
from projections.reading import ProjectionBehind

JSON, CSV, PDF = "application/json", "text/csv", "application/pdf"
_FILE_ENDINGS = {JSON: "json", CSV: "csv", PDF: "pdf"}


class StatementsController(Controller):
    """The statements of an account, one a month."""

    path = "/api/billing/statements"
    tags = ["billing"]

    @get(
        operation_id="list_statements",
        summary="Which statements do I have",
        query=Page,
        docs=Docs("Those that were issued, newest first.", [LISTED_EXAMPLE], PAGE_HEADERS, refuses=(ProjectionBehind,)),
    )
    async def list_all(self, request: ApiRequest) -> ApiResponse[list[IssuedStatement]]:
        """Tell which statements were issued, the newest month first."""
        issued = await request.runtime.statements.issued(request.caller.account_id)
        return paged(request, [(one.statement.month, issued_statement(one)) for one in issued])

    @get(
        "/{month:str}",
        operation_id="tell_statement",
        summary="What moved in my wallet in a month",
        description=(
            "By the time at which it was recorded, in UTC. `Accept` says in which form: JSON, CSV or PDF. Once the"
            " month is over it is issued: it has a number, and never changes. Until then it is provisional."
        ),
        docs=Docs(
            "The statement.",
            EXAMPLE,
            ("Content-Disposition",),
            media_types=(CSV, PDF),
            refuses=(Invalid, NotFound, NotAcceptable, ProjectionBehind),
            path_schemas={"month": MONTH_SCHEMA},
        ),
    )
    async def get_one(self, request: ApiRequest, month: FromPath[str]) -> ApiResponse[StatementResponse | bytes]:
        """Tell the statement of a month; the first who asks once it is over has it issued."""
        wanted = preferred(request.context.headers.get(b"accept"), tuple(_FILE_ENDINGS))
        caller = request.caller
        statement = await statement_for(
            request.runtime, caller.account_id, parse_month(month), caller.context("issue-statement")
        )
        disposition = f'attachment; filename="{statement.file_name}.{_FILE_ENDINGS[wanted]}"'
        headers = (("content-disposition", disposition), ("vary", "Accept"))
        if wanted == JSON:
            return ok(statement_response(statement), *headers)
        # Of an account with thousands of VPSs this takes a while, and others must not wait for it.
        made = await asyncio.to_thread(pdf_of if wanted == PDF else csv_of, statement)
        media_type = PDF if wanted == PDF else f"{CSV}; charset=utf-8; header=present"
        return ApiResponse(made, headers=headers, media_type=media_type)
