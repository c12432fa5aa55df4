"""Settings that change while the service runs."""

import pytest

from domain.errors import Invalid
from domain.settings.commands import ChangeSetting
from domain.settings.events import SettingChanged
from domain.settings.settings import OperatorSettings, change, evolve

CHANGED = SettingChanged("exec_max_timeout_seconds", "60")


def test_a_setting_has_the_value_that_it_was_given_last() -> None:
    assert evolve(OperatorSettings(), CHANGED).exec_max_timeout_seconds == 60


def test_a_setting_that_is_known_no_longer_changes_nothing() -> None:
    assert evolve(OperatorSettings(), SettingChanged("colour", '"red"')) == OperatorSettings()


def test_a_change_is_recorded_once() -> None:
    command = ChangeSetting("exec_max_timeout_seconds", 60)

    assert [event for _, event in change(OperatorSettings(), command).events] == [CHANGED]
    assert change(evolve(OperatorSettings(), CHANGED), command).events == ()


@pytest.mark.parametrize(
    ("name", "value"), [("colour", 1), ("exec_max_timeout_seconds", 0), ("exec_max_timeout_seconds", 86_401)]
)
def test_what_cannot_be_set_is_refused(name: str, value: int) -> None:
    with pytest.raises(Invalid):
        change(OperatorSettings(), ChangeSetting(name, value))
