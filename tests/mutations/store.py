"""Mutations of what the ledger and its store rely on: turns at streams, and what its errors mean."""

from tests.mutations.mutation import Mutation

STORE: tuple[Mutation, ...] = (
    Mutation(
        "a turn is waited for at every stream that is recorded in",
        "api/ledger.py",
        "streams = frozenset(stream for stream, _ in decision.events)",
        "streams = frozenset(stream for stream, _ in decision.events[:1])",
        "tests/api/test_ledger.py",
    ),
    Mutation(
        "streams are taken in one order",
        "api/stream_locks.py",
        "for stream in sorted(set(streams)):",
        "for stream in streams:",
        "tests/api/test_stream_locks.py",
    ),
    Mutation(
        "whoever comes last waits behind those who wait",
        "api/ledger.py",
        "if wanted := self._locks.contended([view.stream for view in views]):",
        "if wanted := self._locks.contended([]):",
        "tests/api/test_ledger.py",
    ),
    Mutation(
        "a database that lacks room or time is not away",
        "domain/store_failures.py",
        "if not is_connected or sqlstate.startswith((CONNECTION_CLASS, SHUTDOWN)):",
        'if not is_connected or sqlstate.startswith((CONNECTION_CLASS, "53", "57", SHUTDOWN)):',
        "tests/adapters/postgres/test_answered_errors.py",
    ),
    Mutation(
        "what one request brings about is not told to all that came with it",
        "adapters/postgres/group_writer.py",
        "if len(open_requests) <= 1 or asyncio",
        "if len(open_requests) <= 500 or asyncio",
        "tests/adapters/postgres/test_answered_errors.py",
    ),
    Mutation(
        "an event that is too large for one read model stops only that",
        "projections/runner.py",
        "return failure is not None and not isinstance(failure, TooLargeToStore)",
        "return failure is not None",
        "tests/projections/test_runner.py -k too_large",
    ),
)
