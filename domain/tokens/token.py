"""An access token: what it may do, for how much and how long, and that it is good."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Literal, get_args

import msgspec

from domain.accounts.account import Unauthorized
from domain.deciding import AggregateRef, Decision, Fold
from domain.errors import Invalid, NotFound, Refusal
from domain.events import Event
from domain.ids import AccountId, TokenId, token_stream, wallet_stream
from domain.money import MicroUsd
from domain.ports import Claim
from domain.time import HOUR, Instant
from domain.tokens.commands import CreateToken, RevokeToken
from domain.tokens.events import Scope, TokenCreated, TokenRevoked
from domain.wallet.events import LimitWindow, TokenLimited, TokenLimitEnded, TokenUnlimited
from domain.wallet.wallet import Wallet

CLAIM_SCOPE = "token"
"""The scope of the claim by which a token is found from its secret; its key is the digest."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
TOKENS_MAX = 100
"""How many tokens one account can have that are not revoked, expired ones counted."""
NAME_CHARACTERS_MAX = 100
LIMIT_MAX = MicroUsd(1_000_000_000_000)
"""A million USD."""
EXPIRES_WITHIN = 100 * 365 * 24 * HOUR

Need = Scope | Literal["any"] | None
"""What a call asks of a token: a scope, no more than to be good, or (None) not to be one."""


class ForbiddenForTokens(Refusal):
    """An access token manages no tokens, funds or passwords: that takes a session."""

    code = "forbidden_for_tokens"
    sentence = "forbidden for tokens"


class InsufficientScope(Refusal):
    """The token was not made for this; ``scope`` is what it would need."""

    code = "insufficient_scope"
    sentence = "the token lacks a scope"


class TooManyTokens(Refusal):
    """The account has as many tokens as it can have; revoking one, maybe an expired one, makes room."""

    code = "too_many_tokens"
    sentence = "too many access tokens"


class Token(msgspec.Struct, frozen=True):
    """A token as its events tell it."""

    id: TokenId
    account_id: AccountId
    name: str
    secret_digest: str
    scopes: tuple[Scope, ...]
    spend_limit: MicroUsd | None
    limit_window: LimitWindow | None
    expires_at: Instant | None
    created_at: Instant
    revoked: bool = False


def evolve(token: Token | None, event: Event) -> Token | None:
    """Return the token after an event of its stream."""
    match event:
        case TokenCreated():
            return Token(
                id=event.token_id,
                account_id=event.account_id,
                name=event.name,
                secret_digest=event.secret_digest,
                scopes=event.scopes,
                spend_limit=event.spend_limit,
                limit_window=event.limit_window,
                expires_at=event.expires_at,
                created_at=event.created_at,
            )
        case TokenRevoked() if token is not None:
            return msgspec.structs.replace(token, revoked=True)
        case _:
            return token


FOLD: Fold[Token | None] = Fold(initial=None, evolve=evolve)


def token_ref(token_id: TokenId) -> AggregateRef[Token | None]:
    """Return the reference of a token."""
    return AggregateRef(token_stream(token_id), FOLD)


def create(wallet: Wallet, command: CreateToken, now: Instant) -> Decision:
    """Decide that there is another token; its minutes are counted in the wallet. Raises Invalid, TooManyTokens."""
    if wrong := dict(_wrong_fields(command, now)):
        raise Invalid(fields=wrong)
    if len(wallet.limits) >= TOKENS_MAX:
        raise TooManyTokens(tokens_max=TOKENS_MAX)
    window = None if command.spend_limit is None else command.limit_window or "total"
    created = TokenCreated(
        account_id=command.account_id,
        token_id=command.token_id,
        name=command.name.strip(),
        secret_digest=command.secret_digest,
        scopes=tuple(scope for scope in SCOPES if scope in command.scopes),
        spend_limit=command.spend_limit,
        limit_window=window,
        expires_at=command.expires_at,
        created_at=now,
    )
    return Decision(
        events=(
            (token_stream(command.token_id), created),
            (wallet_stream(command.account_id), _counted(command, window)),
        ),
        claims=(claim(command.secret_digest, command.token_id, command.account_id),),
    )


def revoke(token: Token | None, command: RevokeToken, now: Instant) -> Decision:
    """Decide to believe a token no longer; its VPSs go on, without its limit. Raises NotFound."""
    if token is None or token.account_id != command.account_id or token.revoked:
        raise NotFound
    return Decision(
        events=(
            (token_stream(token.id), TokenRevoked(token.account_id, token.id, now)),
            (wallet_stream(token.account_id), TokenLimitEnded(token.account_id, token.id)),
        ),
        releases=((CLAIM_SCOPE, bytes.fromhex(token.secret_digest)),),
    )


def good(token: Token | None, now: Instant) -> Token:
    """Return a token that is to be believed now. Raises Unauthorized for one revoked or expired."""
    if token is None or token.revoked or (token.expires_at is not None and now >= token.expires_at):
        raise Unauthorized
    return token


def check_need(token: Token, need: Need) -> None:
    """Raise ForbiddenForTokens or InsufficientScope where a call asks for more than the token is made for."""
    if need is None:
        raise ForbiddenForTokens
    if need != "any" and need not in token.scopes:
        raise InsufficientScope(scope=need)


def digest_of(secret: str) -> str:
    """Return what is kept of a secret: its SHA-256, in hexadecimal; 256 random bits need no slow hash."""
    return sha256(secret.encode()).hexdigest()


def claim(secret_digest: str, token_id: TokenId, account_id: AccountId) -> Claim:
    """Return the claim by which the token, and whose it is, are found from the digest."""
    return Claim(CLAIM_SCOPE, bytes.fromhex(secret_digest), token_id, account_id.bytes)


def _counted(command: CreateToken, window: LimitWindow | None) -> Event:
    if command.spend_limit is None or window is None:
        return TokenUnlimited(command.account_id, command.token_id, command.expires_at)
    return TokenLimited(command.account_id, command.token_id, command.spend_limit, window, command.expires_at)


def _wrong_fields(command: CreateToken, now: Instant) -> Iterator[tuple[str, str]]:
    name = command.name.strip()
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        yield "name", f"must have 1 to {NAME_CHARACTERS_MAX} characters, none of them a control character"
    if not command.scopes:
        yield "scopes", "must name at least one scope"
    if command.spend_limit is not None and not 0 < command.spend_limit <= LIMIT_MAX:
        yield "spend_limit", "must be above 0 and at most 1000000 USD"
    if command.spend_limit is None and command.limit_window is not None:
        yield "limit_window", "needs a spend_limit"
    if command.expires_at is not None and not now < command.expires_at <= now + EXPIRES_WITHIN:
        yield "expires_at", "must be in the future, at most 100 years from now"
