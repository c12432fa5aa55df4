"""Argon2id hashes of passwords (RFC 9106), made beside the event loop, few at a time."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from domain.accounts.ports import PasswordsBusy

T = TypeVar("T")

MEMORY_KIB = 19 * 1024
TIME_COST = 2
PARALLELISM = 1
AT_ONCE = 2
"""How many are hashed at once: each takes a core and 19 MiB."""
WAITING_MAX = 64
"""How many wait for their turn; the next is told to come again."""


class Argon2Passwords:
    """Hashes with the parameters that OWASP names first for Argon2id; verifies any Argon2id hash."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB, at_once: int = AT_ONCE) -> None:
        self._hasher = PasswordHasher(time_cost=TIME_COST, memory_cost=memory_kib, parallelism=PARALLELISM)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="argon2")
        self._unfinished = 0
        self._nobodys_hash = self._hasher.hash(secrets.token_hex())

    async def hash(self, password: str) -> str:
        """Return the hash of a password. Raises PasswordsBusy."""
        return await self._in_turn(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether the password is the one hashed; None takes as long and is never. Raises PasswordsBusy."""
        right = await self._in_turn(lambda: self._is_right(password_hash or self._nobodys_hash, password))
        return right and bool(password_hash)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_right(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            # An invalid hash is that of an account whose key was erased: nobody logs in to it.
            return False

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._unfinished >= WAITING_MAX:
            raise PasswordsBusy
        self._unfinished += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._unfinished -= 1
