"""The page that a session's `url` leads to, which says that it is for development, and asks for no script."""

import base64
import hashlib
from html import escape
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

from adapters.stripe_stand_in.storage import Body

STYLE = """
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #fff; --ink: #1a1f36; --soft: #5b6275; --line: #d9dce3;
  --strong: #3b46c4; --on-strong: #fff; --warn: #fff4d6; --on-warn: #5c3d00; }
@media (prefers-color-scheme: dark) { :root { --ground: #14161d; --card: #1e212b; --ink: #eef0f6; --soft: #a9afc0;
  --line: #3a3f4e; --strong: #a3abff; --on-strong: #14161d; --warn: #3d3110; --on-warn: #ffe3a1; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
header { background: var(--warn); color: var(--on-warn); padding: .75rem 1rem; text-align: center; }
main { max-width: 27rem; margin: 2rem auto; padding: 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .75rem; }
h1 { margin: 0 0 1rem; font-size: 1.75rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 0 0 1.5rem; }
dt { color: var(--soft); } dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
form { display: grid; gap: .75rem; }
button { font: inherit; padding: .7rem 1rem; border: 1px solid var(--line); border-radius: .5rem; cursor: pointer;
  background: transparent; color: var(--ink); }
button.first { background: var(--strong); color: var(--on-strong); border-color: var(--strong); font-weight: 600; }
button:focus-visible, a:focus-visible { outline: 3px solid var(--strong); outline-offset: 2px; }
a { color: var(--strong); }
p.no { border-left: .25rem solid #c0392b; padding-left: .75rem; }
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_OPEN = (("pay", "Pay {amount}"), ("later", "Pay later (asynchronous)"), ("decline", "Decline"))
_WAITING = (("arrive", "Let the payment arrive"), ("refuse", "Let the payment fail"))


class Page(NamedTuple):
    """What a browser is answered."""

    status: int
    html: str
    policy: str


def render(session: Body | None, intent: Body | None) -> Page:
    """Return the page of a session as it is, or that there is none."""
    if session is None:
        return _page(HTTPStatus.NOT_FOUND, "There is no such session", "<p>Ask for a new one.</p>", [])
    amount = _amount(session["amount_total"], session["currency"])
    facts = _facts(session, amount)
    targets = [session["success_url"], session["cancel_url"]]
    back = f'<p><a href="{escape(session["success_url"], quote=True)}">Go on</a></p>'
    if session["status"] == "open":
        buttons = [(choice, name.format(amount=amount)) for choice, name in _OPEN]
        if session["cancel_url"]:
            buttons.append(("cancel", "Cancel"))
        declined = intent is not None and intent["last_payment_error"] is not None
        no = '<p class="no" role="alert">The card was declined. Nothing was paid.</p>' if declined else ""
        return _page(HTTPStatus.OK, f"Pay {amount}", facts + no + _form(buttons), targets)
    if session["status"] == "expired":
        again = "<p>It can no longer be paid. Ask for a new one.</p>"
        return _page(HTTPStatus.GONE, "This session has expired", facts + again, targets)
    if session["payment_status"] == "paid":
        return _page(HTTPStatus.OK, "This session is paid", facts + back, targets)
    if intent is not None and intent["status"] == "processing":
        say = "<p>The customer has done their part. What does their bank do?</p>"
        return _page(HTTPStatus.OK, "Waiting for the bank", facts + say + _form(list(_WAITING)) + back, targets)
    return _page(HTTPStatus.OK, "The payment failed", facts + back, targets)


def _page(status: int, title: str, content: str, targets: list[str | None]) -> Page:
    html = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} · development checkout</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        "<header><strong>Development checkout.</strong> This is not Stripe, and no money moves.</header>\n"
        f"<main>\n<h1>{escape(title)}</h1>\n{content}\n</main>\n</body>\n</html>\n"
    )
    # Browsers hold the redirect that follows a form to form-action as well.
    forms = " ".join(sorted({"'self'", *(_origin(target) for target in targets if target)}))
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {forms}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return Page(int(status), html, policy)


def _facts(session: Body, amount: str) -> str:
    lines = [(item["description"], _amount(item["amount_total"], item["currency"])) for item in session["_line_items"]]
    if len(lines) > 1:
        lines.append(("Total", amount))
    if session["customer_email"]:
        lines.append(("E-mail", session["customer_email"]))
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in lines) + "</dl>\n"


def _form(buttons: list[tuple[str, str]]) -> str:
    inside = "".join(
        f'<button name="choice" value="{choice}"{" class=first" if index == 0 else ""}>{escape(name)}</button>\n'
        for index, (choice, name) in enumerate(buttons)
    )
    return f'<form method="post">\n{inside}</form>\n'


def _amount(cents: int, currency: str) -> str:
    figure = f"{cents // 100}.{cents % 100:02}"
    return f"${figure}" if currency == "usd" else f"{figure} {currency.upper()}"


def _origin(address: str) -> str:
    parts = urlsplit(address)
    host = parts.netloc if parts.scheme in ("http", "https") and _is_host(parts.netloc) else ""
    return f"{parts.scheme}://{host}" if host else "'self'"


def _is_host(netloc: str) -> bool:
    return bool(netloc) and all(character.isalnum() or character in ".-:[]" for character in netloc)
