"""The access tokens of an account: made, told and revoked, whoever asks."""

import msgspec

from api.application.caller import Caller
from api.application.once import Once
from api.application.repository import Decided
from api.application.runtime import Runtime
from domain.ids import TokenId
from domain.money import ZERO, MicroUsd
from domain.time import Instant
from domain.tokens import token as tokens
from domain.tokens.commands import CreateToken, RevokeToken
from domain.tokens.events import Scope
from domain.tokens.token import SCOPES, Token, token_ref
from domain.wallet.events import LimitWindow
from domain.wallet.wallet import Wallet, wallet_ref

_STEP = "token"


class TokenTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is to be made with."""

    name: str
    scopes: tuple[Scope, ...] = SCOPES
    spend_limit: MicroUsd | None = None
    limit_window: LimitWindow | None = None
    expires_at: Instant | None = None


class TokenUse(msgspec.Struct, frozen=True):
    """A token, and what was done with it."""

    token: Token
    spent: MicroUsd
    """By minutes of VPSs that it created: in this month where its limit is for the month, else ever."""
    left: MicroUsd | None
    """Of its limit; None where it has none."""
    last_used_at: Instant | None = None


class CreatedToken(msgspec.Struct, frozen=True):
    """A new token, and its secret, which is kept nowhere."""

    use: TokenUse
    secret: str
    wallet: Wallet
    """The account's, which counts what the token spends."""


async def create_token(
    runtime: Runtime, caller: Caller, terms: TokenTerms, once: Once[CreatedToken] | None = None
) -> CreatedToken:
    """Make a token and return it with its secret. Raises Invalid, TooManyTokens or Contended."""
    wallet, secret = wallet_ref(caller.account_id), runtime.token_secrets.new()
    command = CreateToken(
        account_id=caller.account_id,
        token_id=TokenId(runtime.ids.new()),
        name=terms.name,
        secret_digest=tokens.digest_of(secret),
        scopes=terms.scopes,
        spend_limit=terms.spend_limit,
        limit_window=terms.limit_window,
        expires_at=terms.expires_at,
    )
    ref = token_ref(command.token_id)

    def created(decided: Decided) -> CreatedToken:
        token, after = decided.loaded.of(ref), decided.loaded.of(wallet)
        assert token is not None, "a token that was decided on is there"
        return CreatedToken(_use(token, after, decided.at), secret, after)

    executed = await runtime.aggregates.execute(
        (ref, wallet),
        lambda loaded, now: tokens.create(loaded.of(wallet), command, now),
        caller.context(_STEP),
        result=created,
        once=once,
    )
    return executed.result


async def list_tokens(runtime: Runtime, caller: Caller) -> list[TokenUse]:
    """Return the tokens of the account that are not revoked, with when, to the minute, they were last used."""
    ref = wallet_ref(caller.account_id)
    wallet = (await runtime.aggregates.load(ref)).of(ref)
    refs = [token_ref(token_id) for token_id in wallet.limits]
    loaded = await runtime.aggregates.load(*refs)
    kept = [token for one in refs if (token := loaded.of(one)) is not None and not token.revoked]
    last_uses = await runtime.last_uses.of([token.id for token in kept])
    now = runtime.clock.now()
    return [_use(token, wallet, now, last_uses.get(token.id)) for token in kept]


async def revoke_token(runtime: Runtime, caller: Caller, command: RevokeToken) -> None:
    """Believe a token no longer; VPSs that it created go on, without its limit. Raises NotFound or Contended."""
    ref, wallet = token_ref(command.token_id), wallet_ref(caller.account_id)
    await runtime.aggregates.execute(
        (ref, wallet), lambda loaded, now: tokens.revoke(loaded.of(ref), command, now), caller.context(_STEP)
    )


def _use(token: Token, wallet: Wallet, now: Instant, last_used_at: Instant | None = None) -> TokenUse:
    limit = wallet.limits[token.id]
    window = limit.window_at(now)
    return TokenUse(token, limit.spent.get(window, ZERO), limit.left_in(window), last_used_at)
