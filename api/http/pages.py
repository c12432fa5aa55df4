"""Pages: lists as bare arrays, with the total and the way to the next page in headers."""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode

import msgspec

from api.http.call import Answer, Call, told

LIMIT_DEFAULT = 20
LIMIT_MAX = 100
OFFSET_MAX = 1_000_000_000
PAGE_HEADERS = ("X-Total-Count", "Link")


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a list is wanted."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX, description="How many at most.")] = LIMIT_DEFAULT
    offset: Annotated[int, msgspec.Meta(ge=0, le=OFFSET_MAX, description="How many to pass over.")] = 0


def paged(call: Call, everything: Sequence[object]) -> Answer:
    """Return the page that was asked for out of a whole list."""
    page: Page = call.query
    shown = everything[page.offset : page.offset + page.limit]
    return page_of(call, shown, len(everything))


def page_of(call: Call, shown: Sequence[object], total: int) -> Answer:
    """Return a page, its place in the whole told in headers."""
    page: Page = call.query
    headers = [("x-total-count", str(total))]
    links = []
    if page.offset + page.limit < total:
        links.append(_link(call, page, page.offset + page.limit, "next"))
    if page.offset > 0:
        links.append(_link(call, page, max(0, page.offset - page.limit), "prev"))
    if links:
        headers.append(("link", ", ".join(links)))
    return told(200, shown, *headers)


def _link(call: Call, page: Page, offset: int, rel: str) -> str:
    path = call.target.partition(" ")[2].partition("?")[0]
    asked = {name: value for name, value in msgspec.to_builtins(page).items() if value is not None}
    return f'<{call.runtime.settings.url}{path}?{urlencode(asked | {"offset": offset})}>; rel="{rel}"'
