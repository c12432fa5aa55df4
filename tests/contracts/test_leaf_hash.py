"""Both implementations of the leaf hash give what the documentation says, for ever."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.leaf_hash import leaf_hash
from domain.time import Instant

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "leaf-hash.md"
VECTORS: list[dict[str, Any]] = json.loads(re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)[0])
FIELDS = ("position", "stream", "version", "type", "happened_at", "recorded_at", "metadata", "payload")
# What text in PostgreSQL can be: no NUL, no half of a surrogate pair.
storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
instants = st.integers(-(2**62), 2**62)


def in_python(row: tuple[Any, ...]) -> str:
    position, stream, version, name, happened_at, recorded_at, metadata, payload = row
    return leaf_hash(
        position, UUID(stream), version, name, Instant(happened_at), Instant(recorded_at), metadata, payload
    ).hex()


def in_sql(connection: psycopg.Connection, row: tuple[Any, ...]) -> str:
    call = "SELECT encode(ledger.leaf_hash(%s, %s::uuid, %s, %s, %s, %s, %s, %s), 'hex')"
    answer = connection.execute(call, row).fetchone()
    assert answer is not None
    return str(answer[0])


@pytest.mark.parametrize("vector", VECTORS)
def test_python_gives_the_documented_hash(vector: dict[str, Any]) -> None:
    assert in_python(tuple(vector[field] for field in FIELDS)) == vector["leaf_hash"]


@pytest.mark.parametrize("vector", VECTORS)
def test_sql_gives_the_documented_hash(database_url: str, vector: dict[str, Any]) -> None:
    with psycopg.connect(database_url) as connection:
        assert in_sql(connection, tuple(vector[field] for field in FIELDS)) == vector["leaf_hash"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.tuples(
        st.integers(1, 2**63 - 1), st.uuids().map(str), st.integers(0, 2**31 - 1), storable, instants, instants,
        storable, storable,
    )
)  # fmt: skip
def test_python_and_sql_agree_on_any_envelope(database_url: str, row: tuple[Any, ...]) -> None:
    with psycopg.connect(database_url) as connection:
        assert in_sql(connection, row) == in_python(row)


@pytest.mark.parametrize("field", FIELDS)
def test_a_change_anywhere_in_the_envelope_changes_the_hash(field: str) -> None:
    vector = VECTORS[0]
    values = {name: vector[name] for name in FIELDS}
    before = values[field]
    values[field] = before + 1 if isinstance(before, int) else before[:-1] + ("0" if before[-1] != "0" else "1")

    assert in_python(tuple(values.values())) != vector["leaf_hash"]


def test_what_moves_from_one_field_to_the_next_changes_the_hash() -> None:
    row = (1, str(UUID(int=1)), 1, "a", 0, 0)

    assert in_python((*row, "xy", "z")) != in_python((*row, "x", "yz"))
