"""Settings that change while the service runs."""

import pytest

from domain.errors import Invalid
from domain.settings.commands import ChangeSetting
from domain.settings.events import SettingChanged
from domain.settings.settings import OperatorSettings, change, evolve
from domain.statements.tax import TaxRate

CHANGED = SettingChanged("exec_max_timeout_seconds", "60")


def test_a_setting_has_the_value_that_it_was_given_last() -> None:
    assert evolve(OperatorSettings(), CHANGED).exec_max_timeout_seconds == 60


def test_a_setting_that_is_known_no_longer_changes_nothing() -> None:
    assert evolve(OperatorSettings(), SettingChanged("colour", '"red"')) == OperatorSettings()


def test_a_change_is_recorded_once() -> None:
    command = ChangeSetting("exec_max_timeout_seconds", 60)

    assert [event for _, event in change(OperatorSettings(), command).events] == [CHANGED]
    assert change(evolve(OperatorSettings(), CHANGED), command).events == ()


def test_rates_of_taxes_are_recorded_as_whole_numbers() -> None:
    command = ChangeSetting("tax", "GST 5, QST 9.975")
    [(_, recorded)] = change(OperatorSettings(), command).events

    assert recorded == SettingChanged(
        "tax", '[{"name":"GST","percent_thousandths":5000},{"name":"QST","percent_thousandths":9975}]'
    )
    settings = evolve(OperatorSettings(), recorded)
    assert settings.tax == (TaxRate("GST", 5_000), TaxRate("QST", 9_975))
    assert evolve(settings, change(settings, ChangeSetting("tax", "")).events[0][1]).tax == ()


def test_the_issuer_of_statements_has_a_name() -> None:
    [(_, recorded)] = change(OperatorSettings(), ChangeSetting("issuer", " ACME Ltd ")).events

    assert OperatorSettings().issuer == "LiteVPS"
    assert evolve(OperatorSettings(), recorded).issuer == "ACME Ltd"


def test_fees_are_kept_of_refunds_only_where_an_operator_says_so() -> None:
    [(_, recorded)] = change(OperatorSettings(), ChangeSetting("refund_keeps_fee", "on")).events

    assert not OperatorSettings().refund_keeps_fee
    assert evolve(OperatorSettings(), recorded).refund_keeps_fee
    assert not change(OperatorSettings(), ChangeSetting("refund_keeps_fee", "off")).events


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("colour", 1),
        ("exec_max_timeout_seconds", 0),
        ("exec_max_timeout_seconds", 86_401),
        ("exec_max_timeout_seconds", "-60"),
        ("exec_max_timeout_seconds", "9" * 5_000),
        ("vps_max", -1),
        ("vps_disk_gb_max", "many"),
        ("host_cpu_percent", 0),
        ("host_disk_percent", 10_001),
        ("failed_starts_per_hour", 2),
        ("refunds_per_30_days", 0),
        ("refund_keeps_fee", "yes"),
        ("tax", "VAT"),
        ("issuer", " "),
        ("issuer", "two\nlines"),
        ("issuer", "x" * 201),
    ],
)
def test_what_cannot_be_set_is_refused(name: str, value: int | str) -> None:
    with pytest.raises(Invalid):
        change(OperatorSettings(), ChangeSetting(name, value))
