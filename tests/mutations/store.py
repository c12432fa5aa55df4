"""Mutations of what the ledger and its store rely on: turns at streams."""

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
)
