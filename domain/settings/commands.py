"""What operators ask of settings."""

import msgspec


class ChangeSetting(msgspec.Struct, frozen=True):
    """Give a setting another value."""

    name: str
    value: int
