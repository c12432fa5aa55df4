"""Where the stand-in keeps its state: a SQLite file that several processes may use at once."""

import contextlib
import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]

IN_MEMORY = ":memory:"
# How long one process waits for another's transaction.
LOCK_WAIT_S = 30.0

_TABLES = """
CREATE TABLE IF NOT EXISTS objects (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created INTEGER NOT NULL,
    status TEXT,
    payment_intent TEXT,
    charge TEXT,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, number);
CREATE INDEX IF NOT EXISTS objects_by_status ON objects (kind, status);
CREATE INDEX IF NOT EXISTS objects_by_payment ON objects (payment_intent);
CREATE INDEX IF NOT EXISTS objects_by_charge ON objects (charge);
CREATE TABLE IF NOT EXISTS deliveries (
    event TEXT PRIMARY KEY,
    turn TEXT NOT NULL,
    tries INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    asked TEXT NOT NULL,
    since INTEGER NOT NULL,
    owner TEXT NOT NULL,
    request TEXT NOT NULL,
    status INTEGER,
    body TEXT
);
CREATE TABLE IF NOT EXISTS faults (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    remaining INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
"""


class Storage:
    """One connection to the file, used by one thread at a time. Rows are changed in transactions only."""

    def __init__(self, path: str) -> None:
        self._turn = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
        if path != IN_MEMORY:
            self._connection.execute("PRAGMA journal_mode = WAL")
            # What is committed survives the end of a process, if not always that of the machine.
            self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_TABLES)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do everything in the block, or nothing of it, while no other process writes."""
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def setting(self, name: str, first: str) -> str:
        """Return a setting of this state, which is the one given if it had none."""
        with self.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO settings (name, value) VALUES (?, ?)", (name, first))
            row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return str(row[0])

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._connection.close()


def fresh_id(prefix: str) -> str:
    """Return an id in the manner of Stripe's."""
    return f"{prefix}_{secrets.token_hex(12)}"


def to_text(body: Body) -> str:
    """Return the text that a body is kept as."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def from_text(text: str) -> Body:
    """Return the body that a text was kept for."""
    body: Body = json.loads(text)
    return body
