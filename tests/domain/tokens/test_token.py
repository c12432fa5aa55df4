"""Access tokens: how they are made, what they may do, how they end."""

from functools import reduce
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.accounts.account import Unauthorized
from domain.deciding import Decision
from domain.errors import Invalid, NotFound
from domain.ids import AccountId, TokenId, token_stream, wallet_stream
from domain.money import MicroUsd
from domain.time import HOUR, Instant
from domain.tokens import token as tokens
from domain.tokens.commands import CreateToken, RevokeToken
from domain.tokens.events import TokenCreated, TokenRevoked
from domain.tokens.token import (
    EXPIRES_WITHIN,
    FOLD,
    SCOPES,
    TOKENS_MAX,
    ForbiddenForTokens,
    InsufficientScope,
    Token,
    TooManyTokens,
    check_need,
    digest_of,
    good,
)
from domain.wallet.events import TokenLimited, TokenLimitEnded, TokenUnlimited
from tests.domain.wallet.wallets import ACCOUNT, given

CI = TokenId(UUID(int=41))
NOW = Instant(1_700_000_000_000_000)
SECRET = digest_of("vtk_secret")
PLAIN = CreateToken(account_id=ACCOUNT, token_id=CI, name="ci", secret_digest=SECRET, scopes=SCOPES)


def made(**changes: Any) -> Decision:
    return tokens.create(given(), msgspec.structs.replace(PLAIN, **changes), NOW)


def token(**changes: Any) -> Token:
    events = [event for stream, event in made(**changes).events if stream == token_stream(CI)]
    state = reduce(FOLD.evolve, events, FOLD.initial)
    assert state is not None
    return state


def test_a_token_is_found_by_the_digest_of_its_secret() -> None:
    (claim,) = made().claims

    assert (claim.scope, claim.key, claim.holder) == ("token", bytes.fromhex(SECRET), CI)
    assert claim.kept == ACCOUNT.bytes, "which tells whose it is without another look"


def test_the_secret_is_recorded_nowhere() -> None:
    assert b"vtk_secret" not in msgspec.json.encode([event for _, event in made().events])
    # Written once: whoever has what is kept learns nothing of the secret, and what was kept is found for ever.
    assert SECRET == "b95e6e07ee6ed998191eeccfeba4dc898f28a7bbc377ee968edca987c8d88159"


def test_a_token_with_a_limit_is_known_to_the_wallet_in_the_same_append() -> None:
    decision = made(spend_limit=MicroUsd(5_000_000), limit_window="month", expires_at=Instant(NOW + HOUR))

    assert [stream for stream, _ in decision.events] == [token_stream(CI), wallet_stream(ACCOUNT)]
    assert decision.events[1][1] == TokenLimited(ACCOUNT, CI, MicroUsd(5_000_000), "month", Instant(NOW + HOUR))


def test_a_token_without_a_limit_is_known_to_the_wallet_too() -> None:
    assert made().events[1][1] == TokenUnlimited(ACCOUNT, CI, None)


def test_a_limit_is_one_over_all_time_unless_told() -> None:
    assert token(spend_limit=MicroUsd(1)).limit_window == "total"
    assert token().limit_window is None


def test_scopes_are_kept_once_and_in_order() -> None:
    assert token(scopes=("exec", "vps:read", "exec")).scopes == ("vps:read", "exec")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", " "),
        ("name", "x" * 101),
        ("name", "a\nb"),
        ("scopes", ()),
        ("spend_limit", 0),
        ("spend_limit", -1),
        ("spend_limit", 10**13),
        ("limit_window", "month"),
        ("expires_at", NOW),
        ("expires_at", NOW + EXPIRES_WITHIN + 1),
    ],
)
def test_what_cannot_be_meant_is_refused(field: str, wrong: object) -> None:
    with pytest.raises(Invalid) as refused:
        made(**{field: wrong})

    assert isinstance(refused.value.facts["fields"], dict)
    assert set(refused.value.facts["fields"]) == {field}


def test_an_account_has_so_many_tokens_at_most() -> None:
    others = [TokenUnlimited(ACCOUNT, TokenId(UUID(int=100 + number)), None) for number in range(TOKENS_MAX)]

    with pytest.raises(TooManyTokens):
        tokens.create(given(*others), PLAIN, NOW)
    revoked = TokenLimitEnded(ACCOUNT, others[0].token_id)
    assert tokens.create(given(*others, revoked), PLAIN, NOW).events


def test_a_revoked_token_is_good_for_nothing_and_limits_nothing() -> None:
    before = token(spend_limit=MicroUsd(1))

    decision = tokens.revoke(before, RevokeToken(ACCOUNT, CI), NOW)

    assert decision.events == (
        (token_stream(CI), TokenRevoked(ACCOUNT, CI, NOW)),
        (wallet_stream(ACCOUNT), TokenLimitEnded(ACCOUNT, CI)),
    )
    assert decision.releases == (("token", bytes.fromhex(SECRET)),)
    with pytest.raises(Unauthorized):
        good(FOLD.evolve(before, decision.events[0][1]), NOW)


def test_only_its_account_revokes_a_token_and_only_once() -> None:
    revoked = FOLD.evolve(token(), TokenRevoked(ACCOUNT, CI, NOW))

    for found, account_id in ((None, ACCOUNT), (token(), AccountId(UUID(int=2))), (revoked, ACCOUNT)):
        with pytest.raises(NotFound):
            tokens.revoke(found, RevokeToken(account_id, CI), NOW)


def test_a_token_is_good_until_the_instant_at_which_it_expires() -> None:
    expiring = token(expires_at=Instant(NOW + HOUR))

    assert good(expiring, Instant(NOW + HOUR - 1)) is expiring
    with pytest.raises(Unauthorized):
        good(expiring, Instant(NOW + HOUR))


def test_what_was_never_made_is_no_good() -> None:
    with pytest.raises(Unauthorized):
        good(None, NOW)


def test_a_token_does_what_its_scopes_say() -> None:
    check_need(token(scopes=("exec",)), "exec")
    with pytest.raises(InsufficientScope) as refused:
        check_need(token(scopes=("exec",)), "vps:write")

    assert refused.value.facts == {"scope": "vps:write"}


def test_some_things_any_token_may_and_some_none() -> None:
    check_need(token(scopes=("keys",)), "any")
    with pytest.raises(ForbiddenForTokens):
        check_need(token(), None)


def test_a_token_is_remembered_with_everything_that_was_told() -> None:
    created = made().events[0][1]

    assert isinstance(created, TokenCreated)
    assert (created.name, created.created_at, created.secret_digest) == ("ci", NOW, SECRET)
