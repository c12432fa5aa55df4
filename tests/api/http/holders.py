"""Holders of access tokens."""

from typing import Any

import msgspec

from tests.api.houses import Customer

UNAUTHORIZED = {"error": "unauthorized", "code": "unauthorized"}


async def make(customer: Customer, **body: Any) -> Customer:
    """Make a token; return its account as somebody who asks with it."""
    response = await customer.ask("POST", "/api/tokens", json={"name": "ci", **body})
    assert response.status_code == 201, response.text
    return msgspec.structs.replace(customer, token=response.json()["token"])


async def listed(customer: Customer) -> list[dict[str, Any]]:
    """Return the tokens of an account, newest first."""
    response = await customer.ask("GET", "/api/tokens")
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()
    return found
