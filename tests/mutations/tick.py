"""Mutations of what a tick relies on: claimed minutes, appends that let others go first, look-ups by stream."""

from tests.mutations.mutation import Mutation

TICK: tuple[Mutation, ...] = (
    Mutation(
        "minutes are claimed by whatever records them",
        "api/application/repository.py",
        "minutes = tuple(claim for _, event in decision.events for claim in minute_claims(event))",
        "minutes = ()",
        "tests/api/application/test_metering.py",
    ),
    Mutation(
        "a decision over what was read before is refused if it moved on",
        "api/application/repository.py",
        "attempts, wanted, loaded = attempts + 1, wanted | recorded_in, None",
        "attempts, wanted = attempts + 1, wanted | recorded_in",
        "tests/api/application/test_repository.py",
    ),
    Mutation(
        "others go before a tick",
        "adapters/postgres/group_writer.py",
        "self._low_priority_left_out = bool(batch) and not self._low_priority_left_out",
        "self._low_priority_left_out = False",
        "tests/adapters/postgres/test_low_priority_appends.py",
    ),
    Mutation(
        "a tick is not put off for ever",
        "adapters/postgres/group_writer.py",
        "self._low_priority_left_out = bool(batch) and not self._low_priority_left_out",
        "self._low_priority_left_out = bool(batch)",
        "tests/adapters/postgres/test_low_priority_appends.py",
    ),
    Mutation(
        "an event is known by its older names",
        "domain/codec.py",
        "return frozenset({name, *(older",
        "return frozenset({name, *(name",
        "tests/domain/test_codec.py",
    ),
    Mutation(
        "streams are looked up each by itself",
        "adapters/postgres/recorded_rows.py",
        " ORDER BY e.version OFFSET 0) AS e",
        ") AS e",
        "tests/adapters/postgres/test_reading_plans.py",
    ),
)
