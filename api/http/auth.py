"""Authentication: from the Authorization header to an account whose session is good right now."""

from api.http.call import Arrival
from api.ledger import Sight
from api.runtime import Runtime
from domain.accounts.account import Account, Unauthorized, account_view, session_is_good
from domain.accounts.ports import Session
from domain.wallet.wallet import wallet_view

_SCHEME = b"bearer "


def shown_session(runtime: Runtime, arrival: Arrival) -> Session:
    """Return the session that a request shows, its signature and expiry checked. Raises Unauthorized."""
    header = arrival.headers.get(b"authorization", b"")
    if header[: len(_SCHEME)].lower() != _SCHEME:
        raise Unauthorized
    token = header[len(_SCHEME) :].strip().decode("latin-1")
    session = runtime.sessions.read(token, runtime.clock.now())
    if session is None:
        raise Unauthorized
    return session


async def sight_of(runtime: Runtime, session: Session) -> Sight:
    """Read what every request of an account needs, in one round trip: the account and its wallet."""
    return await runtime.ledger.read(account_view(session.account_id), wallet_view(session.account_id))


def believed(sight: Sight, session: Session) -> Account:
    """Return the account of a session that has not ended. Raises Unauthorized."""
    account = sight.of(account_view(session.account_id))
    if not session_is_good(account, session.jti, session.password_number):
        raise Unauthorized
    return account
