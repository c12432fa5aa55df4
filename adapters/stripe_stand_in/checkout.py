"""What the buttons of the checkout page do."""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from adapters.stripe_stand_in.dashboard import Dashboard
from adapters.stripe_stand_in.errors import ApiError
from adapters.stripe_stand_in.exchange import Reply, Request
from adapters.stripe_stand_in.objects import StripeObjects
from adapters.stripe_stand_in.page import render
from adapters.stripe_stand_in.storage import Body

# Stripe puts the session's id where a success_url says so.
_PLACE_OF_ID = "{CHECKOUT_SESSION_ID}"


def find_session(objects: StripeObjects, id_: str) -> Body | None:
    """Return a session as it is kept, if there is such a one."""
    found = objects.find(id_)
    return found if found is not None and found["object"] == "checkout.session" else None


def show(objects: StripeObjects, id_: str) -> Reply:
    """Return the page of a session."""
    session = find_session(objects, id_)
    intent = objects.find(session["payment_intent"]) if session and session["payment_intent"] else None
    page = render(session, intent)
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": page.policy,
        # Any stricter, and browsers would not tell where the form comes from.
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
    }
    return Reply(page.status, headers, page.html.encode())


def press(dashboard: Dashboard, session: Body | None, request: Request) -> Reply:
    """Do what a button says, and lead on; a button that is not there any more leads back to the page."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ApiError("The form was sent from another place.", status=HTTPStatus.FORBIDDEN)
    choice = parse_qs(request.body.decode("utf-8", "replace")).get("choice", [""])[0]
    page = request.path.rsplit("/", 1)[-1]
    actions: dict[str, Callable[[str], Body]] = {
        "pay": dashboard.pay, "later": dashboard.pay_later, "decline": dashboard.decline,
        "arrive": dashboard.bank_pays, "refuse": dashboard.bank_refuses,
    }  # fmt: skip
    if session is None:
        return _see_other(page)
    if choice == "cancel" and session["cancel_url"] and session["status"] == "open":
        return _see_other(session["cancel_url"])
    try:
        after = actions[choice](session["id"]) if choice in actions else session
    except ApiError:
        return _see_other(page)
    if after["status"] != "complete":
        return _see_other(page)
    return _see_other(session["success_url"].replace(_PLACE_OF_ID, session["id"]))


def _see_other(address: str) -> Reply:
    return Reply(int(HTTPStatus.SEE_OTHER), {"location": address}, b"")
