"""A call: one request as the nouns see it, and the answer that they give."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from api.application.repository import CommandContext
from api.application.runtime import Runtime
from api.http.rendering import encode_json, uuid_of
from domain.accounts.account import Account
from domain.accounts.ports import Session
from domain.errors import Refusal
from domain.events import Actor
from domain.ids import AccountId, TokenId
from domain.money import MicroUsd
from domain.pricing.price_book import PriceBook
from domain.tokens.token import Token
from domain.wallet.wallet import Wallet


class Answer(msgspec.Struct, frozen=True):
    """What a call came to."""

    status: int
    body: bytes = b""
    """Of ``content_type``, or nothing."""
    headers: tuple[tuple[str, str], ...] = ()
    balance: MicroUsd | None = None
    """The balance after the call's own effects, where it changed or may have."""
    content_type: str = "application/json"
    wallet: Wallet | None = None
    """The wallet after the call's own effects, where these may have changed what is on."""


def told(status: int, body: object, *headers: tuple[str, str]) -> Answer:
    """Return an answer with a body of JSON."""
    return Answer(status, encode_json(body), headers)


NO_CONTENT = Answer(204)


class Refusing(Exception):
    """A refusal that goes with facts which are no part of it, such as the output of a command so far."""

    def __init__(self, refusal: Refusal, beside: Mapping[str, Any]) -> None:
        super().__init__(refusal.sentence)
        self.refusal = refusal
        self.beside = beside


class Arrival(msgspec.Struct, frozen=True):
    """What is known of a request before anything in it is believed."""

    request_id: str
    address: str | None
    """The client's address, canonical; None where the transport has none."""
    client: str
    """The network that quotas count it to."""
    as_problem: bool
    """Whether the client wants errors as ``application/problem+json``."""
    headers: Mapping[bytes, bytes]
    """By lower-case name; of a header sent twice the last."""


class Call:
    """One request, as far as it was checked: who asks, the body, the query, the ids in the path."""

    __slots__ = (
        "account",
        "arrival",
        "balance",
        "body",
        "idempotency_key",
        "path",
        "prices",
        "query",
        "raw_body",
        "runtime",
        "session",
        "target",
        "token",
        "wallet",
    )

    def __init__(self, runtime: Runtime, arrival: Arrival, target: str, path: Mapping[str, str]) -> None:
        """``target``: method and path as the client sent them; ``path``: its variable parts by name."""
        self.runtime = runtime
        self.arrival = arrival
        self.target = target
        self.path = path
        self.session: Session | None = None
        self.token: Token | None = None
        self.account: Account | None = None
        self.balance: MicroUsd | None = None
        self.wallet: Wallet | None = None
        self.prices: PriceBook | None = None
        self.body: Any = None
        self.raw_body = b""
        self.query: Any = None
        self.idempotency_key: str | None = None

    def let_go_of_body(self) -> None:
        """Keep nothing of the body any more, for a call that goes on to wait: hundreds may wait at once."""
        self.body, self.raw_body = None, b""

    @property
    def account_id(self) -> AccountId:
        """Whose call it is; only of endpoints that ask for an account."""
        account_id = self.owner.id
        assert account_id is not None, "an account that is let in was registered"
        return account_id

    @property
    def token_id(self) -> TokenId | None:
        """The access token that asks; None where a session does."""
        return None if self.token is None else self.token.id

    @property
    def owner(self) -> Account:
        """The account whose call it is; only of endpoints that ask for one."""
        assert self.account is not None, "this endpoint is for accounts"
        return self.account

    def id_in_path(self, name: str) -> UUID:
        """Return an id from the path. Raises NotFound for what is no id."""
        return uuid_of(self.path[name])

    def context(self, step: str = "") -> CommandContext:
        """Return how events that this call leads to came to be."""
        actor = Actor("account", self.account_id) if self.token is None else Actor("token", self.token.id)
        return self.context_of(self.account_id, step, actor)

    def context_of(self, account_id: AccountId | None, step: str, actor: Actor) -> CommandContext:
        """Return the same for a caller who has shown no session."""
        known = account_id is not None
        agent = self.arrival.headers.get(b"user-agent", b"").decode("latin-1")[:256]
        return CommandContext(
            actor=actor,
            account_id=account_id,
            request_id=self.arrival.request_id,
            # Without an account there is no key under which these could be sealed, so they are not kept.
            address=self.arrival.address if known else None,
            user_agent=(agent or None) if known else None,
            step=step,
        )
