"""Accounts: sessions, passwords, addresses."""

from functools import reduce
from uuid import UUID

import pytest

from domain.accounts.account import (
    FOLD,
    SESSION_LIFE,
    Account,
    Unauthorized,
    change_password,
    end_session,
    evolve,
    register,
    rehash_password,
    session_is_good,
)
from domain.accounts.commands import ChangePassword, EndSession, RegisterAccount, RehashPassword
from domain.accounts.events import (
    AccountClosed,
    AccountRegistered,
    PasswordChanged,
    PasswordRehashed,
    RolesSet,
    SessionEnded,
)
from domain.events import Event
from domain.ids import AccountId, wallet_stream
from domain.time import HOUR, Instant
from domain.wallet.events import WalletOpened

ANN = AccountId(UUID(int=1))
REGISTERED = AccountRegistered(ANN, "ann@example.com", "hash")


def after(*events: Event) -> Account:
    """Fold events into an account."""
    return reduce(evolve, events, FOLD.initial)


def test_an_account_is_registered_with_a_wallet_and_a_claim_on_its_address() -> None:
    decision = register(RegisterAccount(ANN, "ann@example.com", b"key", "hash", ("admin",)))

    assert [event for _, event in decision.events] == [REGISTERED, RolesSet(ANN, ("admin",)), WalletOpened(ANN)]
    assert decision.events[-1][0] == wallet_stream(ANN)
    assert [(claim.scope, claim.key, claim.holder) for claim in decision.claims] == [("email", b"key", ANN)]


def test_a_session_is_good_until_it_is_ended() -> None:
    account = after(REGISTERED)
    assert session_is_good(account, "a", 1)

    ended = after(REGISTERED, SessionEnded(ANN, "a", Instant(SESSION_LIFE)))
    assert not session_is_good(ended, "a", 1)
    assert session_is_good(ended, "b", 1)


def test_a_session_is_ended_once() -> None:
    command = EndSession("a", Instant(SESSION_LIFE))
    decision = end_session(after(REGISTERED), command)

    assert [event for _, event in decision.events] == [SessionEnded(ANN, "a", Instant(SESSION_LIFE))]
    assert end_session(after(REGISTERED, *(event for _, event in decision.events)), command).events == ()


def test_a_new_password_ends_every_session() -> None:
    account = after(REGISTERED, PasswordChanged(ANN, "other"))

    assert account.password_hash == "other"
    assert not session_is_good(account, "a", 1)
    assert session_is_good(account, "a", 2)


def test_a_password_is_changed_by_whoever_showed_the_present_one() -> None:
    account = after(REGISTERED)
    changed = after(REGISTERED, PasswordChanged(ANN, "other"))

    assert [event for _, event in change_password(account, ChangePassword("hash", 1)).events] == [
        PasswordChanged(ANN, "hash")
    ]
    for meanwhile in (changed, after(REGISTERED, AccountClosed(ANN, Instant(0)))):
        with pytest.raises(Unauthorized):
            change_password(meanwhile, ChangePassword("hash", 1))


def test_a_password_under_a_newer_hash_ends_no_session() -> None:
    command = RehashPassword("newer", "hash")
    account = after(REGISTERED)
    decision = rehash_password(account, command)
    rehashed = after(REGISTERED, *(event for _, event in decision.events))

    assert [event for _, event in decision.events] == [PasswordRehashed(ANN, "newer")]
    assert rehashed.password_hash == "newer"
    assert session_is_good(rehashed, "a", 1)


@pytest.mark.parametrize("meanwhile", [PasswordChanged(ANN, "other"), AccountClosed(ANN, Instant(0))])
def test_a_password_that_is_another_by_now_keeps_its_hash(meanwhile: Event) -> None:
    assert rehash_password(after(REGISTERED, meanwhile), RehashPassword("newer", "hash")).events == ()


def test_nobody_has_no_sessions_and_no_password() -> None:
    nobody = after()

    assert not session_is_good(nobody, "a", 0)
    with pytest.raises(Unauthorized):
        change_password(nobody, ChangePassword("hash", 0))
    with pytest.raises(Unauthorized):
        end_session(nobody, EndSession("a", Instant(0)))


def test_ended_sessions_are_forgotten_once_they_would_have_expired() -> None:
    account = after(
        REGISTERED,
        *(SessionEnded(ANN, f"session-{hour}", Instant(hour * HOUR + SESSION_LIFE)) for hour in range(48)),
    )

    assert len(account.ended_sessions) == 12
    assert "session-47" in account.ended_sessions
    assert "session-36" in account.ended_sessions
