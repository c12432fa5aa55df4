"""Where alerts go, and how an address is verified."""

from functools import reduce
from uuid import UUID

import pytest

from domain.alerts import alerts as subject
from domain.alerts.alerts import CODE_LIFE, NOTICE_ALERTS_MAX, Alerts, Notice
from domain.alerts.codes import TRIES_MAX, CodeRefused, code_of, digest_of, id_in
from domain.alerts.commands import SetAlerts, VerifyAddress
from domain.alerts.events import (
    AddressGiven,
    AddressVerified,
    AlertRaised,
    AlertsEnded,
    AlertsSwitchedOff,
    MailSent,
    ThresholdsSet,
    VerificationFailed,
    VerificationRequested,
)
from domain.alerts.following import Due
from domain.deciding import Decision
from domain.errors import Invalid
from domain.events import Event
from domain.ids import AccountId, EventId, alerts_stream
from domain.money import MicroUsd
from domain.time import Instant

ANN = AccountId(UUID(int=1))
FIRST, SECOND = UUID(int=11), UUID(int=12)
NOW = Instant(1_000_000_000)
EMAIL = "Ops@example.com"
THRESHOLDS = (MicroUsd(1_000_000), MicroUsd(5_000_000))


def setting(email: str = EMAIL, verification: UUID = FIRST, thresholds: tuple[MicroUsd, ...] = THRESHOLDS) -> SetAlerts:
    return SetAlerts(email, thresholds, verification, digest_of(f"code of {verification}"))


def showing(verification: UUID = FIRST, code: str | None = None) -> VerifyAddress:
    return VerifyAddress(verification, digest_of(code or f"code of {verification}"))


def events_of(decision: Decision) -> list[Event]:
    assert all(stream == alerts_stream(ANN) for stream, _ in decision.events)
    return [event for _, event in decision.events]


def after(alerts: Alerts, decision: Decision) -> Alerts:
    return reduce(subject.evolve, events_of(decision), alerts)


def given(now: Instant = NOW) -> Alerts:
    """Return alerts with an address that is not verified."""
    return after(Alerts(), subject.set_alerts(Alerts(), ANN, setting(), now))


def verified() -> Alerts:
    alerts = given()
    alerts = after(alerts, subject.verify(alerts, ANN, showing(), NOW))
    return subject.evolve(alerts, MailSent(ANN, FIRST, NOW))


def due(position: int, kind: str = "low-balance") -> Due:
    return Due(ANN, kind, position, EventId(UUID(int=position)), NOW, balance=MicroUsd(7))  # type: ignore[arg-type]


def test_a_new_address_is_mailed_a_code_that_is_claimed_for_a_day() -> None:
    decision = subject.set_alerts(Alerts(), ANN, setting(), NOW)

    assert events_of(decision) == [
        AddressGiven(ANN, EMAIL),
        ThresholdsSet(ANN, THRESHOLDS[::-1]),
        VerificationRequested(ANN, FIRST, digest_of(f"code of {FIRST}"), NOW, Instant(NOW + CODE_LIFE)),
    ]
    (claim,) = decision.claims
    assert (claim.key, claim.holder, claim.expires_at) == (FIRST.bytes, ANN, NOW + CODE_LIFE)
    assert not given().verified
    assert list(given().notices) == [FIRST]


def test_the_code_verifies_the_address() -> None:
    decision = subject.verify(given(), ANN, showing(), NOW)

    assert events_of(decision) == [AddressVerified(ANN, FIRST)]
    assert verified().verified


def test_a_code_works_once() -> None:
    with pytest.raises(CodeRefused):
        subject.verify(verified(), ANN, showing(), NOW)


def test_a_code_works_until_the_instant_at_which_it_expires() -> None:
    last = Instant(NOW + CODE_LIFE - 1)
    assert events_of(subject.verify(given(), ANN, showing(), last)) == [AddressVerified(ANN, FIRST)]
    with pytest.raises(CodeRefused):
        subject.verify(given(), ANN, showing(), Instant(last + 1))


def test_wrong_codes_count_and_after_a_few_the_right_one_is_refused_too() -> None:
    alerts = given()
    for _ in range(TRIES_MAX):
        decision = subject.verify(alerts, ANN, showing(code="guessed"), NOW)
        assert events_of(decision) == [VerificationFailed(ANN, FIRST)]
        still_good = subject.verify(alerts, ANN, showing(), NOW)
        assert events_of(still_good) == [AddressVerified(ANN, FIRST)]
        alerts = after(alerts, decision)

    for code in (None, "guessed"):
        with pytest.raises(CodeRefused):
            subject.verify(alerts, ANN, showing(code=code), NOW)


def test_another_code_ends_the_one_before() -> None:
    alerts = after(given(), subject.set_alerts(given(), ANN, setting(verification=SECOND), NOW))

    with pytest.raises(CodeRefused):
        subject.verify(alerts, ANN, showing(FIRST), NOW)
    assert events_of(subject.verify(alerts, ANN, showing(SECOND), NOW)) == [AddressVerified(ANN, SECOND)]
    assert list(alerts.notices) == [SECOND], "the mail with the old code is not sent any more"


def test_a_code_without_a_verification_is_refused() -> None:
    with pytest.raises(CodeRefused):
        subject.verify(Alerts(), ANN, showing(), NOW)


def test_a_verified_address_stays_so_while_thresholds_change() -> None:
    decision = subject.set_alerts(verified(), ANN, setting("ops@EXAMPLE.com", SECOND, ()), NOW)

    assert events_of(decision) == [ThresholdsSet(ANN, ())]
    assert decision.claims == ()
    assert after(verified(), decision).verified


def test_what_is_so_already_is_not_recorded_again() -> None:
    assert events_of(subject.set_alerts(verified(), ANN, setting(verification=SECOND), NOW)) == []


def test_another_address_has_to_be_verified_and_is_told_nothing_meant_for_the_first() -> None:
    alerts = after(verified(), subject.raise_alerts(verified(), ANN, [due(5)], SECOND))
    alerts = after(alerts, subject.set_alerts(alerts, ANN, setting("other@example.com", UUID(int=13)), NOW))

    assert (alerts.email, alerts.verified) == ("other@example.com", False)
    assert list(alerts.notices) == [UUID(int=13)]


@pytest.mark.parametrize("email", ["", "nobody", "a@b", "a@example.com\nBcc: b@example.com", "x" * 250 + "@a.de"])
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(Invalid):
        subject.set_alerts(Alerts(), ANN, setting(email), NOW)


def test_thresholds_are_kept_each_once_the_highest_first() -> None:
    assert subject.checked_thresholds([MicroUsd(1), MicroUsd(3), MicroUsd(1), MicroUsd(0)]) == (3, 1, 0)


@pytest.mark.parametrize("thresholds", [[MicroUsd(-1)], [MicroUsd(10**12 + 1)], [MicroUsd(n) for n in range(11)]])
def test_thresholds_that_cannot_be_meant_are_refused(thresholds: list[MicroUsd]) -> None:
    with pytest.raises(Invalid):
        subject.checked_thresholds(thresholds)


def test_what_is_due_is_raised_in_one_notice_in_order() -> None:
    raised = events_of(subject.raise_alerts(verified(), ANN, [due(7), due(5), due(5, "account-frozen")], SECOND))

    assert [(e.cause_position, e.notice_id) for e in raised if isinstance(e, AlertRaised)] == [
        (5, SECOND),
        (5, SECOND),
        (7, SECOND),
    ]
    alerts = reduce(subject.evolve, raised, verified())
    assert isinstance(alerts.notices[SECOND], Notice)
    assert alerts.raised_until == 7


def test_what_was_raised_is_never_raised_again() -> None:
    alerts = after(verified(), subject.raise_alerts(verified(), ANN, [due(5)], SECOND))

    assert events_of(subject.raise_alerts(alerts, ANN, [due(5), due(4)], UUID(int=13))) == []
    assert len(events_of(subject.raise_alerts(alerts, ANN, [due(5), due(6)], UUID(int=13)))) == 1


def test_nothing_is_raised_for_an_address_that_is_not_verified() -> None:
    assert events_of(subject.raise_alerts(given(), ANN, [due(5)], SECOND)) == []


def test_a_mail_takes_only_so_much_and_what_follows_from_one_event_is_not_parted() -> None:
    many = [due(position) for position in range(1, NOTICE_ALERTS_MAX)]
    many += [due(NOTICE_ALERTS_MAX), due(NOTICE_ALERTS_MAX, "account-frozen")]

    alerts = after(verified(), subject.raise_alerts(verified(), ANN, many, SECOND))

    assert alerts.raised_until == NOTICE_ALERTS_MAX - 1
    rest = events_of(subject.raise_alerts(alerts, ANN, many, UUID(int=13)))
    assert len(rest) == 2


def test_alerts_are_switched_off_once_and_everything_that_waits_goes() -> None:
    on = after(verified(), subject.raise_alerts(verified(), ANN, [due(7)], SECOND))

    decision = subject.switch_off(on, ANN)

    assert events_of(decision) == [AlertsSwitchedOff(ANN)]
    off = after(on, decision)
    assert off == Alerts(raised_until=7)
    assert events_of(subject.switch_off(off, ANN)) == []
    assert events_of(subject.switch_off(Alerts(), ANN)) == []


def test_an_address_that_is_given_again_after_that_needs_a_code_again() -> None:
    off = after(verified(), subject.switch_off(verified(), ANN))

    again = after(off, subject.set_alerts(off, ANN, setting(verification=SECOND), NOW))

    assert (again.verified, list(again.notices)) == (False, [SECOND])


def test_a_code_that_waits_is_good_for_nothing_once_alerts_are_off() -> None:
    off = after(given(), subject.switch_off(given(), ANN))

    with pytest.raises(CodeRefused):
        subject.verify(off, ANN, showing(), NOW)


def test_a_closed_account_has_no_alerts_any_more() -> None:
    assert subject.end_alerts(Alerts(), ANN) == ()
    (ended,) = subject.end_alerts(verified(), ANN)
    assert ended == AlertsEnded(ANN)
    alerts = subject.evolve(given(), ended)
    assert (alerts.email, alerts.verified, alerts.notices) == (None, False, {})
    assert subject.end_alerts(alerts, ANN) == ()


def test_a_code_names_its_verification_and_survives_how_people_copy_it() -> None:
    code = code_of(FIRST, bytes(range(32)))

    assert id_in(f" {code.upper()}\n") == FIRST
    assert digest_of(f" {code.upper()}\n") == digest_of(code)
    assert code_of(FIRST, bytes(range(1, 33))) != code
    for wrong in ("", "abc", "!" * 52, code + "a", code[:-8], "ä" * 52):
        assert id_in(wrong) is None
