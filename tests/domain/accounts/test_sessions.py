"""Sessions that have ended: none is lost, and many cost little."""

import time

from domain.accounts.account import FOLD, SESSION_LIFE
from domain.accounts.events import SessionEnded
from domain.ids import AccountId
from domain.time import Instant
from tests.domain.accounts.test_account import ANN

EVERY = 1_000_000


def ended(count: int, account_id: AccountId = ANN) -> list[SessionEnded]:
    return [SessionEnded(account_id, f"session-{n}", Instant(SESSION_LIFE + n * EVERY)) for n in range(count)]


def test_ten_thousand_logouts_are_folded_at_once_and_none_is_forgotten() -> None:
    events, account = ended(10_000), FOLD.initial
    began_s = time.thread_time()
    for event in events:
        account = FOLD.evolve(account, event)
    took_s = time.thread_time() - began_s

    assert len(account.ended_sessions) == 10_000
    assert all(event.jti in account.ended_sessions for event in events)
    assert "session-10000" not in account.ended_sessions
    assert took_s < 1.0, "by copying all of them each time it takes several seconds"


def test_those_that_expired_go_in_the_end() -> None:
    account = FOLD.initial
    for event in ended(3 * SESSION_LIFE // (EVERY * 60) + 1):
        later = Instant(event.expires_at * 60)
        account = FOLD.evolve(account, SessionEnded(event.account_id, event.jti, later))

    assert len(account.ended_sessions) < 2 * SESSION_LIFE // (EVERY * 60)
