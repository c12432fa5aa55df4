"""What operators ask of settings."""

import msgspec


class ChangeSetting(msgspec.Struct, frozen=True):
    """Give a setting another value."""

    name: str
    value: int | str
    """As an operator writes it: a number, the rates of taxes (``VAT 19``), a name."""
