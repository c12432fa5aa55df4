"""Errors of psycopg, told in the words of the ports."""

import psycopg

from domain.store_failures import IN_THE_WAY_CLASS, store_failure


def port_error_of(error: psycopg.Error, *, is_connected: bool = True) -> Exception:
    """Return what an error is to whoever asked: a StoreFailed, or the error itself where it is a mistake of ours."""
    return store_failure(error.sqlstate, str(error), is_connected=is_connected) or error


def is_in_the_way(error: psycopg.Error) -> bool:
    """Return whether others were in the way, so that the same may be tried again at once."""
    return (error.sqlstate or "").startswith(IN_THE_WAY_CLASS)
