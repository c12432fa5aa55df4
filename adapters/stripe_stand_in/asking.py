"""Calls a dashboard action by name with arguments from JSON, held to the types of its signature."""

import inspect
from typing import Any, get_type_hints

import msgspec

from adapters.stripe_stand_in.dashboard import ACTIONS, Dashboard
from adapters.stripe_stand_in.errors import ApiError, missing
from adapters.stripe_stand_in.storage import Body


def act(dashboard: Dashboard, name: str, arguments: Body) -> Any:
    """Call `open-dispute` or the like, and return what it returns. Raises ApiError."""
    name = name.replace("-", "_")
    if name not in ACTIONS:
        raise missing("action", name)
    action = getattr(dashboard, name)
    hints = get_type_hints(action)
    fields = [
        (parameter.name, hints[parameter.name])
        if parameter.default is inspect.Parameter.empty
        else (parameter.name, hints[parameter.name], parameter.default)
        for parameter in inspect.signature(action).parameters.values()
    ]
    shape = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
    try:
        given = msgspec.convert(arguments, shape)
    except msgspec.ValidationError as error:
        raise ApiError(str(error)) from error
    return action(**msgspec.structs.asdict(given))
