"""Hashes of passwords."""

import asyncio
import statistics
import time

import pytest

from adapters.passwords import WAITING_MAX, Argon2Passwords
from domain.accounts.ports import PasswordsBusy
from domain.events import ERASED

pytestmark = pytest.mark.anyio


async def test_a_password_is_known_again_and_no_other() -> None:
    passwords = Argon2Passwords()
    password_hash = await passwords.hash("correct horse")

    assert password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(password_hash, "correct horse")
    assert not await passwords.verify(password_hash, "correct horse ")
    assert await passwords.hash("correct horse") != password_hash


@pytest.mark.parametrize("password_hash", [None, "", ERASED, "$argon2id$nonsense"])
async def test_nobody_has_no_password(password_hash: str | None) -> None:
    assert not await Argon2Passwords(memory_kib=8).verify(password_hash, "nobody has this password")


async def test_nobodys_password_takes_as_long_as_a_wrong_one() -> None:
    passwords = Argon2Passwords()
    known = await passwords.hash("correct horse")

    async def took_s(password_hash: str | None) -> float:
        # CPU time of this process, its threads counted: what else the machine does is no part of it.
        began_s = time.process_time()
        await passwords.verify(password_hash, "wrong")
        return time.process_time() - began_s

    pairs = [(await took_s(known), await took_s(None)) for _ in range(9)]
    wrong, nobodys = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert 0.5 < nobodys / wrong < 2


async def test_a_verification_does_not_hold_up_the_loop() -> None:
    passwords = Argon2Passwords()
    verifying = asyncio.create_task(passwords.verify(None, "wrong"))
    turns = 0
    while not verifying.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 10


async def test_whoever_would_wait_too_long_is_told_so() -> None:
    passwords = Argon2Passwords(memory_kib=8)
    results = await asyncio.gather(*(passwords.hash("x") for _ in range(WAITING_MAX + 10)), return_exceptions=True)

    assert sum(isinstance(result, PasswordsBusy) for result in results) == 10
    assert await passwords.hash("x")
