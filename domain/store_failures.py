"""Store failures: what an SQL database's own answer means to whoever asked the store for something.

SQLSTATE is the SQL standard's code of an error, its first two characters the class; PostgreSQL's are listed at
https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from domain.ports import StoreFailed, StoreUnable, StoreUnavailable, TooLargeToStore

CONNECTION_CLASS = "08"
SHUTDOWN = "57P0"
"""57P01 to 57P05: the server ends, has crashed, is starting, or has ended the session."""
IN_THE_WAY_CLASS = "40"
"""Deadlocks and what could not be put in an order: the same again may well succeed at once."""
TOO_LARGE_CLASS = "54"
_UNABLE_CLASSES = frozenset({IN_THE_WAY_CLASS, "53", "55", "57", "58"})
"""Resources run out, something is locked or in use, cancelled (57014: also a statement's time limit), a disk fails."""
_READ_ONLY = "25006"


def store_failure(sqlstate: str | None, words: str, *, is_connected: bool = True) -> StoreFailed | None:
    """Return how a database's error is told, None where it can only be a mistake of ours.

    ``sqlstate``: None where the database itself answered none; ``is_connected``: whether there was a connection, and it
    outlived the error.
    """
    sqlstate = sqlstate or ""
    if not is_connected or sqlstate.startswith((CONNECTION_CLASS, SHUTDOWN)):
        return StoreUnavailable(words)
    if sqlstate.startswith(TOO_LARGE_CLASS):
        return TooLargeToStore(words)
    if sqlstate[:2] in _UNABLE_CLASSES or sqlstate == _READ_ONLY:
        return StoreUnable(words)
    return None
