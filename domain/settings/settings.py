"""Settings that operators change while the service runs, each with its default and its bounds."""

import msgspec

from domain.deciding import Decision, Fold, View, recorded_in
from domain.errors import Invalid
from domain.events import Event
from domain.ids import SETTINGS_STREAM
from domain.settings.commands import ChangeSetting
from domain.settings.events import SettingChanged


class OperatorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in force."""

    exec_max_timeout_seconds: int = 3600
    """The longest time limit that a command can have."""


BOUNDS: dict[str, tuple[int, int]] = {"exec_max_timeout_seconds": (1, 86_400)}


def evolve(settings: OperatorSettings, event: Event) -> OperatorSettings:
    """Return the settings after an event; a setting that is no longer known changes nothing."""
    match event:
        case SettingChanged() if event.name in BOUNDS:
            return msgspec.structs.replace(settings, **{event.name: msgspec.json.decode(event.value)})
        case _:
            return settings


FOLD = Fold(initial=OperatorSettings(), evolve=evolve)
SETTINGS_VIEW: View[OperatorSettings] = View(SETTINGS_STREAM, FOLD)


def change(settings: OperatorSettings, command: ChangeSetting) -> Decision:
    """Decide on another value; the same one again changes nothing. Raises Invalid."""
    bounds = BOUNDS.get(command.name)
    if bounds is None:
        raise Invalid(fields={command.name: "no such setting"})
    if not bounds[0] <= command.value <= bounds[1]:
        raise Invalid(fields={command.name: f"must be from {bounds[0]} to {bounds[1]}"})
    if getattr(settings, command.name) == command.value:
        return Decision()
    return recorded_in(SETTINGS_STREAM, SettingChanged(command.name, str(command.value)))
