"""Who asks: what use cases are told of where a command comes from, and whose it is."""

import msgspec

from api.application.repository import CommandContext
from domain.accounts.ports import Session
from domain.events import Actor
from domain.ids import AccountId, TokenId
from domain.tokens.token import Token


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command comes from, before anybody has shown whose it is."""

    request_id: str
    address: str | None = None
    """Canonical; None where there is none."""
    network: str = ""
    """What its tries are counted to: its address, of IPv6 its /64."""
    user_agent: str | None = None

    @property
    def actor(self) -> Actor:
        """Return who acts."""
        return Actor("anonymous")

    def context_of(self, account_id: AccountId | None, step: str, actor: Actor | None = None) -> CommandContext:
        """Return how events for an account came to be; ``actor``: who acts, where that is known by other means."""
        is_known = account_id is not None
        return CommandContext(
            actor=self.actor if actor is None else actor,
            account_id=account_id,
            request_id=self.request_id,
            # Without an account there is no key under which these could be sealed, so they are not kept.
            address=self.address if is_known else None,
            user_agent=self.user_agent if is_known else None,
            step=step,
        )


class Caller(Client, frozen=True, kw_only=True):
    """An account, by whichever of its sessions or access tokens it asks."""

    account_id: AccountId
    session: Session | None = None
    token: Token | None = None

    @property
    def actor(self) -> Actor:
        """Return who acts: the account, or the token by which it asks."""
        return Actor("account", self.account_id) if self.token is None else Actor("token", self.token.id)

    @property
    def token_id(self) -> TokenId | None:
        """The access token that asks; None where a session does."""
        return None if self.token is None else self.token.id

    def context(self, step: str = "") -> CommandContext:
        """Return how events that this caller's command leads to came to be; ``step`` names what is being done."""
        return self.context_of(self.account_id, step)
