"""Pages: lists as bare arrays, with the total and the way to the pages beside this one in headers.

A cursor names a row by its place in the order of its list, and a page is what lies before or after that place. So
no row is passed over or told twice while others come and go, even if the row that the cursor names is gone itself.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Generic, Literal, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse
from domain.errors import Invalid
from domain.time import Instant

R = TypeVar("R")

LIMIT_DEFAULT = 20
LIMIT_MAX = 100
OFFSET_MAX = 1_000_000_000
PAGE_HEADERS = ("X-Total-Count", "Link")

_CURSOR = r"(?:before|after)\.[0-9A-Za-z_-]{1,300}"
"""Checked as a whole: msgspec's own ``$`` lets a last newline through."""


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a list is wanted."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX, description="How many at most.")] = LIMIT_DEFAULT
    offset: Annotated[
        int, msgspec.Meta(ge=0, le=OFFSET_MAX, description="How many to pass over; not with ``cursor``.")
    ] = 0
    cursor: Annotated[
        Annotated[str, msgspec.Meta(extra_json_schema={"pattern": f"^{_CURSOR}$"})] | None,
        msgspec.Meta(description="From a page's ``Link``: no row is skipped or repeated while others come and go."),
    ] = None


class Cursor(msgspec.Struct, frozen=True):
    """A place in a list: the page wanted is what was made before it, or after."""

    side: Literal["before", "after"]
    key: str
    """The place, as the list tells it of its rows."""


def cursor_of(page: Page) -> Cursor | None:
    """Return where the page that is asked for begins; None where no cursor tells. Raises Invalid."""
    if page.cursor is None:
        return None
    if not re.fullmatch(_CURSOR, page.cursor):
        raise Invalid(fields={"cursor": "is none of this list"})
    if page.offset:
        raise Invalid(fields={"offset": "not with cursor"})
    side, _, key = page.cursor.partition(".")
    return Cursor("after" if side == "after" else "before", key)


def made_at(at: Instant, id_: UUID | str) -> str:
    """Return the place of what was made at an instant in a list with the newest first."""
    return f"{at:017d}-{id_}"


def paged(request: ApiRequest, rows: Iterable[tuple[str, R]]) -> ApiResponse[list[R]]:
    """Return the page that was asked for out of a whole list.

    ``rows``: each with its place, a text that never changes and that sorts after those of all older rows.
    """
    part = slice_of(rows, request.context.query)
    return page_of(request, part.shown, part.total, older=part.older, newer=part.newer)


class Slice(msgspec.Struct, Generic[R], frozen=True):
    """A part of a list, newest first."""

    shown: list[R]
    total: int
    older: str | None
    """The place of the last row, if others follow."""
    newer: str | None
    """The place of the first row, if others come before."""


def slice_of(rows: Iterable[tuple[str, R]], page: Page) -> Slice[R]:
    """Return the part of a whole list that is asked for; ``rows`` as ``paged`` takes them. Raises Invalid."""
    cursor = cursor_of(page)
    ordered = sorted(rows, key=lambda row: row[0], reverse=True)
    first, end = page.offset, page.offset + page.limit
    if cursor is not None and cursor.side == "before":
        first = sum(key >= cursor.key for key, _ in ordered)
        end = first + page.limit
    elif cursor is not None:
        end = sum(key > cursor.key for key, _ in ordered)
        first = max(0, end - page.limit)
    shown = ordered[first:end]
    return Slice(
        [row for _, row in shown],
        len(ordered),
        older=shown[-1][0] if shown and end < len(ordered) else None,
        newer=shown[0][0] if shown and first > 0 else None,
    )


def page_of(
    request: ApiRequest, shown: list[R], total: int | None, *, older: str | None = None, newer: str | None = None
) -> ApiResponse[list[R]]:
    """Return a page, its place in the whole told in headers.

    ``older``: the place of its last row, if others follow; ``newer``: that of its first, if others come before.
    ``total`` None: nobody has counted them.
    """
    links = []
    if older is not None:
        links.append(_link(request, f"before.{older}", "next"))
    if newer is not None:
        links.append(_link(request, f"after.{newer}", "prev"))
    headers = [] if total is None else [("x-total-count", str(total))]
    if links:
        headers.append(("link", ", ".join(links)))
    return ApiResponse(shown, status_code=200, headers=headers)


def _link(request: ApiRequest, cursor: str, rel: str) -> str:
    asked = msgspec.to_builtins(request.context.query)
    onward = {name: value for name, value in asked.items() if value is not None and name != "offset"}
    query = urlencode(onward | {"cursor": cursor})
    return f'<{request.runtime.settings.url}{request.scope["path"]}?{query}>; rel="{rel}"'
