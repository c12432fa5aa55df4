"""What is recorded of settings."""

from domain.events import Event


class SettingChanged(Event, frozen=True, tag="settings.setting-changed.v1"):
    """A setting has another value, as JSON."""

    name: str
    value: str
