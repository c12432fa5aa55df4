"""Made-up events: any kind of event with something in each of its fields, for tests of what holds of all of them."""

from typing import Any
from uuid import UUID

import msgspec
from msgspec import inspect

from domain.events import Event


def made_up(kind: type[Event], personal: str) -> Event:
    """Return an event of a kind; every text in it is ``personal``, and what may be left out is there."""
    fields = {field.encode_name: _value(field.type, personal) for field in _struct(kind).fields}
    return msgspec.convert(fields, kind, strict=False)


def _struct(kind: type) -> inspect.StructType:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    return described


def _value(described: inspect.Type, text: str) -> Any:
    match described:
        case inspect.Metadata():
            return _value(described.type, text)
        case inspect.UnionType():
            return _value(next(one for one in described.types if not isinstance(one, inspect.NoneType)), text)
        case inspect.CustomType() | inspect.UUIDType():
            return UUID(int=1)
        case inspect.LiteralType():
            return described.values[0]
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return 1
        case inspect.StrType():
            return text
        case inspect.StructType():
            values = {field.encode_name: _value(field.type, text) for field in described.fields}
            return list(values.values()) if described.array_like else values
        case inspect.VarTupleType() | inspect.ListType():
            return []
        case inspect.DictType():
            return {}
        case _:
            raise TypeError(described)
