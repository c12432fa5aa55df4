"""A connection for prepared statements with binary parameters, run with as little in between as can be.

An append is one round trip, so what the driver does around it is a large part of its cost: here parameters
are bytes that the caller has made already, and the socket is watched for as long as the connection lives.
"""

import asyncio
from collections.abc import Sequence
from typing import Self

import msgspec
import psycopg
from psycopg.pq import DiagnosticField, ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

CONNECT_TIMEOUT_S = 10
RUN_TIMEOUT_S = 60.0
"""How long a statement may take before its connection is given up."""

Parameter = bytes | None

SESSION = "; ".join(
    (
        # Tables grow by orders of magnitude under plans that are cached; every one of our statements has its index.
        "SET enable_seqscan = off",
        "SET enable_hashjoin = off",
        "SET enable_mergejoin = off",
        "SET plan_cache_mode = force_generic_plan",
        "SET jit = off",
        "SET max_parallel_workers_per_gather = 0",
        f"SET statement_timeout = {int(RUN_TIMEOUT_S * 1000) - 5000}",
        "SET idle_in_transaction_session_timeout = 60000",
    )
).encode()
"""How a connection to the ledger is set."""
_FATAL = (b"FATAL", b"PANIC")


class PreparedQuery(msgspec.Struct, frozen=True):
    """SQL with ``$1``, ``$2`` … under a name that is its own."""

    name: str
    sql: str


class ConnectionLost(Exception):
    """The connection ended while a statement ran: it may have been done or not."""


async def connect(url: str) -> psycopg.AsyncConnection:
    """Return a new connection that commits each statement; raises psycopg.OperationalError."""
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
    try:
        await connection.execute(SESSION)
    except BaseException:
        await connection.close()
        raise
    return connection


class PreparedConnection:
    """Runs one statement at a time; whoever uses it takes care of that. After ConnectionLost it is of no use."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection
        self._pgconn: PGconn = connection.pgconn
        self._socket = connection.pgconn.socket
        self._loop = asyncio.get_running_loop()
        self._prepared: set[str] = set()
        self._answer: asyncio.Future[PGresult] | None = None
        self._last: PGresult | None = None
        self._closed = False
        self._loop.add_reader(self._socket, self._read)

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect; raises psycopg.OperationalError."""
        return cls(await connect(url))

    @property
    def usable(self) -> bool:
        """Whether a statement may be run: not lost, not closed, none running."""
        return not self._closed and self._answer is None

    async def run(self, query: PreparedQuery, parameters: Sequence[Parameter]) -> PGresult:
        """Run a statement by itself, in a transaction of its own, and return its rows in binary.

        Raises ConnectionLost, or the psycopg.Error that PostgreSQL answered; then nothing was done.
        """
        assert self.usable, "one statement at a time"
        name = query.name.encode()
        try:
            if query.name not in self._prepared:
                self._pgconn.send_prepare(name, query.sql.encode())
                await self._finish()
                self._prepared.add(query.name)
            self._pgconn.send_query_prepared(
                name, parameters, [Format.BINARY] * len(parameters), result_format=Format.BINARY
            )
        except psycopg.OperationalError as lost:
            self._lose(lost)
            raise ConnectionLost(str(lost)) from lost
        return await self._finish()

    async def close(self) -> None:
        """End the connection; what runs on it is lost."""
        self._lose(ConnectionLost("closed"))
        await self._connection.close()

    async def _finish(self) -> PGresult:
        answer: asyncio.Future[PGresult] = self._loop.create_future()
        self._answer = answer
        self._write()
        timer = self._loop.call_later(RUN_TIMEOUT_S, self._lose, TimeoutError("no answer in time"))
        try:
            result: PGresult = await answer
        except asyncio.CancelledError:
            self._lose(ConnectionLost("cancelled"))  # The rest of the answer would be taken for the next one's.
            raise
        finally:
            timer.cancel()
            self._answer = None
        if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            return result
        error = psycopg.errors.error_from_result(result)
        if result.error_field(DiagnosticField.SEVERITY_NONLOCALIZED) in _FATAL:
            self._lose(error)
            raise ConnectionLost(str(error)) from error
        raise error

    def _write(self) -> None:
        try:
            if self._pgconn.flush():
                self._loop.add_writer(self._socket, self._write)
            else:
                self._loop.remove_writer(self._socket)
        except psycopg.OperationalError as lost:
            self._lose(lost)

    def _read(self) -> None:
        try:
            self._pgconn.consume_input()
            while self._answer is not None and not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    self._settle()
                    break
                self._last = result
        except psycopg.OperationalError as lost:
            self._lose(lost)

    def _settle(self) -> None:
        result, self._last = self._last, None
        if self._answer is not None and not self._answer.done() and result is not None:
            self._answer.set_result(result)

    def _lose(self, cause: BaseException) -> None:
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        if self._answer is not None and not self._answer.done():
            lost = ConnectionLost(str(cause))
            lost.__cause__ = cause
            self._answer.set_exception(lost)
