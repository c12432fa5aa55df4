"""When a mail is tried again, and when no more."""

from functools import reduce
from uuid import UUID

from domain.accounts.account import Account
from domain.alerts import sending as subject
from domain.alerts.alerts import CODE_LIFE, Alerts, evolve
from domain.alerts.events import AddressGiven, AlertRaised, MailFailed, MailGivenUp, MailSent, VerificationRequested
from domain.events import Event
from domain.ids import AccountId, EventId
from domain.time import HOUR, MINUTE, Instant

ANN = AccountId(UUID(int=1))
NOTICE, CODE = UUID(int=11), UUID(int=12)
NOW = Instant(1_000_000_000_000)
OPEN = Account(ANN, "ann@example.com")


def waiting(*more: Event) -> Alerts:
    events = (
        AddressGiven(ANN, "ops@example.com"),
        VerificationRequested(ANN, CODE, "digest", NOW, Instant(NOW + CODE_LIFE)),
        AlertRaised(ANN, NOTICE, "low-balance", EventId(UUID(int=5)), 5, NOW),
        *more,
    )
    return reduce(evolve, events, Alerts())


def test_a_mail_that_was_sent_is_not_due_and_recorded_once() -> None:
    ((_, sent),) = subject.sent(waiting(), ANN, NOTICE, NOW).events

    assert sent == MailSent(ANN, NOTICE, NOW)
    after = evolve(waiting(), sent)
    assert subject.due_notice(after, NOTICE, NOW) is None
    assert subject.sent(after, ANN, NOTICE, NOW).events == ()
    assert subject.failed(after, ANN, NOTICE, "x", NOW).events == ()
    assert subject.given_up(after, ANN, NOTICE, "refused", "x", NOW).events == ()


def test_a_mail_that_failed_is_tried_after_ever_longer_pauses_and_at_last_given_up() -> None:
    alerts, now, pauses = waiting(), NOW, []
    for attempt in range(1, subject.ATTEMPTS_MAX):
        ((_, failed),) = subject.failed(alerts, ANN, NOTICE, "busy", now).events
        assert isinstance(failed, MailFailed)
        assert failed.attempt == attempt
        alerts = evolve(alerts, failed)
        assert subject.due_notice(alerts, NOTICE, Instant(failed.retry_at - 1)) is None
        assert subject.due_notice(alerts, NOTICE, failed.retry_at) is not None
        pauses.append(failed.retry_at - now)
        now = failed.retry_at
    ((_, given_up),) = subject.failed(alerts, ANN, NOTICE, "busy", now).events

    assert pauses[:4] == [MINUTE // 2, MINUTE, 2 * MINUTE, 4 * MINUTE]
    assert max(pauses) == pauses[-1] == 2 * HOUR
    assert sum(pauses) < 40 * HOUR
    assert given_up == MailGivenUp(ANN, NOTICE, "unreachable", "busy", now)
    assert NOTICE not in evolve(alerts, given_up).notices


def test_a_code_that_has_expired_and_an_alert_that_is_days_old_are_stale() -> None:
    alerts = waiting()
    code, notice = alerts.notices[CODE], alerts.notices[NOTICE]

    assert subject.is_stale(Account(ANN, closed=True), alerts, code, NOW)
    assert not subject.is_stale(OPEN, alerts, code, Instant(NOW + CODE_LIFE - 1))
    assert subject.is_stale(OPEN, alerts, code, Instant(NOW + CODE_LIFE))
    assert not subject.is_stale(OPEN, alerts, notice, Instant(NOW + subject.STALE_AFTER))
    assert subject.is_stale(OPEN, alerts, notice, Instant(NOW + subject.STALE_AFTER + 1))
