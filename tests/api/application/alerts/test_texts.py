"""What mails say."""

from uuid import UUID

import pytest

from api.application.alerts.texts import LINE_CHARACTERS_MAX, MailContext, account_name, alert_mail, code_mail
from domain.alerts.alerts import Notice
from domain.alerts.codes import SCOPES, CodeKind
from domain.alerts.events import AlertKind, AlertRaised
from domain.events import ERASED
from domain.ids import AccountId, EventId, VpsId
from domain.money import MicroUsd
from domain.time import Instant

ANN, NOTICE, WEB = AccountId(UUID(int=1)), UUID(int=2), VpsId(UUID(int=3))
NOW = Instant(1_795_651_200_123_456)
URL = "https://api.litevps.example"


def raised(kind: AlertKind, **facts: object) -> AlertRaised:
    defaults = {"balance": MicroUsd(1_999_999), "threshold": MicroUsd(2_000_000), "amount": MicroUsd(7_250_000)}
    vps_id = WEB if kind.startswith("vps-") else None
    return AlertRaised(ANN, NOTICE, kind, EventId(UUID(int=4)), 5, NOW, vps_id=vps_id, **{**defaults, **facts})  # type: ignore[arg-type]


def mail_about(*alerts: AlertRaised, lasts_until: Instant | None = None) -> tuple[str, str, str]:
    """Return subject, kind and text."""
    notice = Notice(NOTICE, "alert", NOW, NOW, alerts)
    mail = alert_mail(notice, "ops@example.com", URL, MailContext("ann@example.com", {WEB: "web-01"}, NOW, lasts_until))
    assert mail.message_id == f"{NOTICE}@api.litevps.example"
    assert max(map(len, mail.text.splitlines())) <= LINE_CHARACTERS_MAX
    return mail.subject, mail.kind, " ".join(mail.text.split())


@pytest.mark.parametrize(
    ("kind", "subject", "sentence", "to_do"),
    [
        ("low-balance", "your balance is 1.9999 USD", "fell to 1.9999 USD, which is at or below 2 USD.", "add-funds"),
        ("vps-unpaid", "VPS web-01 was stopped", "balance of 1.9999 USD did not cover its next minute.", "/start"),
        ("vps-limit", "VPS web-01 was stopped", "went past the spend limit of its token.", "a token with room"),
        ("vps-frozen", "VPS web-01 was stopped", "VPS web-01 was stopped: the account is frozen.", "pay that first"),
        ("account-frozen", "your account is frozen", "leaves 7.25 USD to be paid", "add-funds"),
        ("dispute-opened", "a payment is disputed", "A payment of 7.25 USD is disputed", "withdraw the dispute"),
    ],
)
def test_each_kind_says_what_happened_when_and_what_to_do(
    kind: AlertKind, subject: str, sentence: str, to_do: str
) -> None:
    told = mail_about(raised(kind))

    assert told[:2] == (f"LiteVPS: {subject}", kind)
    for part in (
        "Of the account ann@example.com:",
        "2026-11-26T00:00:00Z",
        sentence,
        to_do,
        f"{URL}/api/billing/transactions",
    ):
        assert part in told[2]


def test_a_mail_is_named_for_the_gravest_that_it_tells() -> None:
    subject, kind, text = mail_about(raised("low-balance"), raised("vps-unpaid"), raised("vps-unpaid"))

    assert (subject, kind) == ("LiteVPS: 2 VPSs were stopped", "vps-unpaid")
    assert "Your balance fell to" in text


def test_a_low_balance_is_told_with_how_long_it_lasts() -> None:
    until = Instant(NOW + 3600 * 1_000_000)
    sentence = (
        "If everything that is on stays on, the balance lasts until 2026-11-26T01:00:00Z, as of 2026-11-26T00:00:00Z"
    )

    assert sentence in mail_about(raised("low-balance"), lasts_until=until)[2]
    assert sentence in mail_about(raised("vps-limit"), raised("low-balance"), lasts_until=until)[2]
    assert "lasts until" not in mail_about(raised("low-balance"))[2]
    assert "lasts until" not in mail_about(raised("vps-limit"), lasts_until=until)[2]


def test_a_balance_that_covers_no_minute_more_does_not_last_until_a_time_that_is_over() -> None:
    told = mail_about(raised("low-balance"), lasts_until=Instant(NOW - 1))[2]

    assert "The balance does not cover the next minute of what is on" in told
    assert "lasts until" not in told


def test_an_account_whose_address_is_erased_is_named_by_its_id() -> None:
    assert account_name(ANN, "ann@example.com") == "ann@example.com"
    assert account_name(ANN, ERASED) == str(ANN)


@pytest.mark.parametrize("kind", SCOPES)
def test_a_code_stands_on_a_line_of_its_own(kind: CodeKind) -> None:
    code = "a" * 52
    mail = code_mail(Notice(NOTICE, kind, NOW, NOW), "ops@example.com", URL, code, NOW)

    assert f"\n    {code}\n" in mail.text
    assert "before 2026-11-26T00:00:00Z" in mail.text
    assert max(map(len, mail.text.splitlines())) <= LINE_CHARACTERS_MAX
