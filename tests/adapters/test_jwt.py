"""Session tokens."""

from uuid import UUID

import jwt as pyjwt
import pytest

from adapters.jwt import AUDIENCE, TOKENS_REMEMBERED_MAX, JwtSessions
from domain.accounts.account import SESSION_LIFE
from domain.accounts.ports import SigningKey
from domain.ids import AccountId
from domain.time import Instant, seconds

ANN = AccountId(UUID(int=1))
NOW = Instant(1_795_000_000_000_000)
KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def sessions() -> JwtSessions:
    """Return sessions under one key."""
    return JwtSessions({"1": KEY}, "1")


def test_a_token_says_what_was_issued() -> None:
    token, issued = sessions().issue(ANN, 3, NOW)

    assert sessions().read(token, NOW) == issued
    assert (issued.account_id, issued.password_number, issued.expires_at) == (ANN, 3, NOW + SESSION_LIFE)


def test_each_session_has_a_name_of_its_own() -> None:
    assert len({sessions().issue(ANN, 1, NOW)[1].jti for _ in range(100)}) == 100


def test_a_token_is_good_for_twelve_hours_however_often_it_was_read() -> None:
    reader = sessions()
    token, issued = reader.issue(ANN, 1, NOW)

    assert reader.read(token, Instant(issued.expires_at - 1)) is not None
    assert reader.read(token, issued.expires_at) is None
    assert reader.read(token, Instant(issued.expires_at + seconds(1))) is None


def test_a_token_of_another_key_is_not_ours() -> None:
    token, _ = JwtSessions({"1": OTHER_KEY}, "1").issue(ANN, 1, NOW)

    assert sessions().read(token, NOW) is None


def test_tokens_under_a_key_of_before_are_read_after_it_was_changed() -> None:
    token, issued = sessions().issue(ANN, 1, NOW)

    assert JwtSessions({"1": KEY, "2": OTHER_KEY}, "2").read(token, NOW) == issued
    assert JwtSessions({"2": OTHER_KEY}, "2").read(token, NOW) is None


def test_a_changed_token_is_not_believed_after_the_true_one_was() -> None:
    reader = sessions()
    token, _ = reader.issue(ANN, 1, NOW)
    assert reader.read(token, NOW) is not None

    other = "A" if token[-9] != "A" else "B"
    for changed in (token[:-9] + other + token[-8:], token + "=", " " + token, token.swapcase()):
        assert reader.read(changed, NOW) is None


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "x" * 100_000, "e30.e30.", "bnVsbA.bnVsbA.bnVsbA"])
def test_nonsense_is_no_session(token: str) -> None:
    assert sessions().read(token, NOW) is None


def test_no_more_tokens_are_remembered_than_told() -> None:
    reader = sessions()
    for _ in range(20):
        reader.read(reader.issue(ANN, 1, NOW)[0], NOW)

    assert len(reader._read) == 20 <= TOKENS_REMEMBERED_MAX


def test_a_token_is_a_jwt_as_others_read_it() -> None:
    token, issued = sessions().issue(ANN, 1, NOW)
    claims = pyjwt.decode(token, KEY, ["HS256"], audience=AUDIENCE, options={"verify_exp": False, "verify_iat": False})

    assert (claims["sub"], claims["jti"], claims["exp"] * 1_000_000) == (str(ANN), issued.jti, issued.expires_at)
    assert pyjwt.get_unverified_header(token) == {"alg": "HS256", "kid": "1", "typ": "JWT"}


def test_a_new_key_signs_from_its_time_on_and_the_old_one_verifies_until_its_end() -> None:
    old = SigningKey("1", b"1" * 32, Instant(0), Instant(NOW + 2 * SESSION_LIFE))
    new = SigningKey("2", b"2" * 32, Instant(NOW + 10), None)
    both = JwtSessions({"1": old.key}, "1")
    before, _ = both.issue(ANN, 1, NOW)

    both.use([old, new])
    still_old, _ = both.issue(ANN, 1, Instant(NOW + 9))
    after, _ = both.issue(ANN, 1, Instant(NOW + 10))

    assert [pyjwt.get_unverified_header(token)["kid"] for token in (before, still_old, after)] == ["1", "1", "2"]
    assert all(both.read(token, Instant(NOW + 11)) is not None for token in (before, still_old, after))


def test_what_a_key_signed_is_not_believed_after_its_end_even_if_it_was_read_before() -> None:
    both = JwtSessions({"1": b"1" * 32}, "1")
    token, _ = both.issue(ANN, 1, NOW)
    assert both.read(token, NOW) is not None

    both.use([SigningKey("1", b"1" * 32, Instant(0), Instant(NOW + 5)), SigningKey("2", b"2" * 32, NOW, None)])

    assert both.read(token, Instant(NOW + 4)) is not None
    assert both.read(token, Instant(NOW + 5)) is None
    both.use([SigningKey("2", b"2" * 32, NOW, None)])
    assert both.read(token, NOW) is None
