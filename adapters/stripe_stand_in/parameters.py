"""The parameters of a request, read from Stripe's form encoding with its square brackets."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from adapters.stripe_stand_in.errors import ApiError

PARAMETERS_MAX = 1000
METADATA_KEYS_MAX = 50
METADATA_KEY_CHARACTERS_MAX = 40
METADATA_VALUE_CHARACTERS_MAX = 500

_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_PART = re.compile(r"\[([^\[\]]*)\]")


class Parameters:
    """Nested parameters. Each `…` method raises ApiError for what is not of its kind; `prefix` names where we are."""

    def __init__(self, values: dict[str, Any], prefix: str = "") -> None:
        self.values = values
        self._prefix = prefix

    @classmethod
    def of_form(cls, text: str) -> "Parameters":
        """Read `a[b][0][c]=1&d=2`. Raises ApiError."""
        values: dict[str, Any] = {}
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=PARAMETERS_MAX, errors="strict")
        except ValueError as error:
            raise ApiError("The form could not be read.") from error
        for key, value in pairs:
            _put(values, key, value)
        return cls({name: _lists(value) for name, value in values.items()})

    def only(self, allowed: Iterable[str]) -> None:
        """Refuse what is not among the allowed names."""
        for name in self.values:
            if name not in allowed:
                full = self._name(name)
                raise ApiError(f"Received unknown parameter: {full}", code="parameter_unknown", param=full)

    def text(self, name: str) -> str | None:
        """Return a text, or None if it is absent or empty."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise ApiError(f"Invalid string: {self._name(name)}", param=self._name(name))
        return value or None

    def required(self, name: str) -> str:
        """Return a text that has to be there."""
        value = self.text(name)
        if value is None:
            full = self._name(name)
            raise ApiError(f"Missing required param: {full}.", code="parameter_missing", param=full)
        return value

    def whole(self, name: str, least: int = 0) -> int | None:
        """Return a whole number of at least so much, or None if it is absent."""
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?[0-9]{1,15}", value) or int(value) < least:
            message = f"Invalid integer: {value}"
            raise ApiError(message, code="parameter_invalid_integer", param=self._name(name))
        return int(value)

    def inside(self, name: str) -> "Parameters":
        """Return the parameters in the brackets of a name; none if it is absent."""
        value = self.values.get(name, {})
        if not isinstance(value, dict):
            raise ApiError("Invalid object", param=self._name(name))
        return Parameters(value, self._name(name))

    def each(self, name: str) -> list["Parameters"]:
        """Return the items of a list of objects."""
        value = self.values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ApiError("Invalid array", param=self._name(name))
        return [Parameters(item, f"{self._name(name)}[{index}]") for index, item in enumerate(value)]

    def texts(self, name: str) -> list[str]:
        """Return the items of a list of texts."""
        value = self.values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ApiError("Invalid array", param=self._name(name))
        return value

    def metadata(self, name: str = "metadata") -> dict[str, str]:
        """Return metadata within Stripe's bounds."""
        pairs = self.inside(name).values
        fits = len(pairs) <= METADATA_KEYS_MAX and all(
            isinstance(value, str)
            and len(value) <= METADATA_VALUE_CHARACTERS_MAX
            and len(key) <= METADATA_KEY_CHARACTERS_MAX
            for key, value in pairs.items()
        )
        if not fits:
            raise ApiError("Metadata is 50 keys of 40 characters with values of 500.", param=self._name(name))
        return {key: value for key, value in pairs.items() if value}

    def _name(self, name: str) -> str:
        return f"{self._prefix}[{name}]" if self._prefix else name


def _put(values: dict[str, Any], key: str, value: str) -> None:
    matched = _KEY.match(key)
    if matched is None:
        raise ApiError(f"Invalid parameter name: {key}", code="parameter_unknown", param=key)
    parts = [matched[1], *_PART.findall(matched[2])]
    place = values
    for part in parts[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise ApiError("Invalid object", param=key)
    # `types[]=a&types[]=b` counts its items itself.
    place[parts[-1] or str(len(place))] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(item) for name, item in value.items()}
    if inner and all(name.isdecimal() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner
