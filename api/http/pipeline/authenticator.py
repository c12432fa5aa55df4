"""The authenticator: from an Authorization header to an account whose session or token is good right now."""

import math
import time
from collections import OrderedDict
from uuid import UUID

import msgspec
import structlog

from api.application.caller import Caller
from api.application.runtime import Runtime
from api.http.pipeline.context import RequestContext
from api.http.pipeline.wrong_credentials import WrongCredentials
from domain.accounts.account import Unauthorized, account_ref, session_has_ended, session_is_good
from domain.accounts.ports import Session
from domain.ids import AccountId, TokenId
from domain.ports import Claim, StoreFailed
from domain.pricing.price_book import PRICES
from domain.time import MINUTE, Instant
from domain.tokens.token import CLAIM_SCOPE, digest_of, good, token_ref
from domain.wallet.wallet import wallet_ref

TOKENS_KNOWN_MAX = 10_000
"""Of how many tokens a process remembers whose they are; that never changes, only whether they are good."""
ENDED_KNOWN_MAX = 10_000
"""Of how many sessions and tokens it remembers that they ended, or never were: none of them will ever be good."""
USED_EVERY = MINUTE
"""How exact it is kept when a token was last used."""
_SCHEME = b"bearer "
_TOKEN_BEGINS = "vtk_"  # noqa: S105
_TOKEN_CHARACTERS = (47, 58)
"""Of older tokens, and of those that are made now, which bear a mark."""
LOOK_UP_EVERY_S = 0.1
"""How often a process looks up what may be made up, for all clients together that showed too many wrong ones."""

_log = structlog.get_logger(__name__)


class Credential(msgspec.Struct, frozen=True):
    """Who a request says it comes from, before it is looked up whether that still holds."""

    account_id: AccountId
    session: Session | None = None
    token_id: TokenId | None = None

    @property
    def name(self) -> str:
        """What it is told from others by."""
        return str(self.token_id) if self.session is None else self.session.jti

    @property
    def counted_as(self) -> tuple[str, str]:
        """Return by which quota and subject its requests are counted."""
        return ("session", str(self.account_id)) if self.token_id is None else ("token", str(self.token_id))


class Authenticator:
    """Finds out who asks. Belongs to one process; what it remembers is never wrong."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._wrong = WrongCredentials(runtime)
        self._looked_up_s = -math.inf
        self._tokens: OrderedDict[str, Credential] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._used: dict[TokenId, Instant] = {}

    async def credential(self, context: RequestContext) -> Credential:
        """Return the session or token that a request shows. Raises Unauthorized for what is not ours, or has ended."""
        credential = await self._shown(context)
        # One that has ended is not counted among its account's requests: whoever has it could keep the owner out.
        if credential.name in self._ended:
            raise Unauthorized
        return credential

    async def _shown(self, context: RequestContext) -> Credential:
        """Return the session or token that a request shows. Raises Unauthorized for what is not ours."""
        header = context.headers.get(b"authorization", b"")
        if header[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthorized
        secret = header[len(_SCHEME) :].strip().decode("latin-1")
        if secret.startswith(_TOKEN_BEGINS):
            return await self._token(secret, context.client.network)
        session = self._runtime.sessions.read(secret, self._runtime.clock.now())
        if session is None:
            raise Unauthorized
        return Credential(session.account_id, session)

    async def let_in(self, context: RequestContext, credential: Credential) -> None:
        """Have a context know its caller and their money, in one round trip. Raises Unauthorized where that ended."""
        account, wallet = account_ref(credential.account_id), wallet_ref(credential.account_id)
        now = self._runtime.clock.now()
        session, token = credential.session, None
        if credential.token_id is None:
            loaded = await self._runtime.aggregates.load(account, wallet, PRICES)
            assert session is not None, "a credential is a session or a token"
            if not session_is_good(loaded.of(account), session.jti, session.password_number):
                if session_has_ended(loaded.of(account), session.jti, session.password_number):
                    self._note_end(credential.name)
                raise Unauthorized
        else:
            ref = token_ref(credential.token_id)
            loaded = await self._runtime.aggregates.load(account, wallet, PRICES, ref)
            try:
                token = good(loaded.of(ref), now)
            except Unauthorized:
                self._note_end(credential.name)
                raise
            if not loaded.of(account).is_open:
                self._note_end(credential.name)
                raise Unauthorized
            await self._note_use(credential.token_id, now)
        client = context.client
        context.caller = Caller(
            request_id=client.request_id,
            address=client.address,
            network=client.network,
            user_agent=client.user_agent,
            account_id=credential.account_id,
            session=session,
            token=token,
        )
        context.account, context.wallet, context.prices = loaded.of(account), loaded.of(wallet), loaded.of(PRICES)

    async def count_wrong(self, context: RequestContext) -> None:
        """Count a credential that is none, if one was shown. Raises RateLimited, which headers are made to tell of."""
        if b"authorization" in context.headers:
            await self._wrong.count(context.client.network, context.quota_headers)

    async def _token(self, secret: str, client: str) -> Credential:
        if len(secret) not in _TOKEN_CHARACTERS or not secret.isascii():
            raise Unauthorized
        # Looked up by its digest alone, so that no time of an answer tells of a secret how far it is right.
        digest = digest_of(secret)
        if (known := self._tokens.get(digest)) is not None:
            self._tokens.move_to_end(digest)
            return known
        if digest in self._ended:
            raise Unauthorized
        marked = self._runtime.token_secrets.is_marked(secret)
        claim = await (self._find(digest) if marked else self._find_unmarked(digest, client))
        if claim is None or claim.kept is None:
            self._note_end(digest)
            raise Unauthorized
        self._tokens[digest] = Credential(AccountId(UUID(bytes=claim.kept)), token_id=TokenId(claim.holder))
        if len(self._tokens) > TOKENS_KNOWN_MAX:
            self._tokens.popitem(last=False)
        return self._tokens[digest]

    def _note_end(self, name: str) -> None:
        self._ended[name] = None
        if len(self._ended) > ENDED_KNOWN_MAX:
            self._ended.popitem(last=False)

    async def _find(self, digest: str) -> Claim | None:
        return await self._runtime.store.find_claim(CLAIM_SCOPE, bytes.fromhex(digest))

    async def _find_unmarked(self, digest: str, client: str) -> Claim | None:
        """Find a token that does not show whether it is made up.

        Of clients that showed too many wrong ones, one is looked up every ``LOOK_UP_EVERY_S``: a right one still
        passes, and made-up ones cost no more than that. Raises RateLimited.
        """
        refusal = self._wrong.refusal(client)
        if refusal is None:
            return await self._find(digest)
        now_s = time.monotonic()
        if now_s < self._looked_up_s + LOOK_UP_EVERY_S:
            raise refusal
        self._looked_up_s = now_s
        return await self._find(digest)

    async def _note_use(self, token_id: TokenId, now: Instant) -> None:
        noted = self._used.get(token_id)
        if noted is not None and noted <= now < noted + USED_EVERY:
            return
        if len(self._used) >= TOKENS_KNOWN_MAX:
            self._used.clear()
        self._used[token_id] = now
        try:
            await self._runtime.last_uses.note(token_id, now)
        except StoreFailed as failed:
            # Nobody is refused because it cannot be told when they last came.
            _log.warning("last use not kept", token_id=str(token_id), problem=str(failed))
