"""The captcha, asked at a stand-in for Cloudflare's siteverify."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import pytest

from adapters.turnstile import (
    TEST_SECRET_FAILS,
    TEST_SECRET_PASSES,
    TEST_SECRET_SPENT,
    TEST_TOKEN,
    DevelopmentCaptcha,
    TurnstileCaptcha,
)
from domain.accounts.ports import CaptchaUnavailable

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def siteverify(answer: Callable[[dict[str, list[str]]], bytes]) -> AsyncIterator[str]:
    """Serve an answer to forms, and give the address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        body = answer(parse_qs((await reader.readexactly(length)).decode()))
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/siteverify"


async def test_a_token_passes_if_cloudflare_says_so() -> None:
    asked: list[dict[str, list[str]]] = []

    def answer(form: dict[str, list[str]]) -> bytes:
        asked.append(form)
        return b'{"success":true,"hostname":"x"}' if form["response"] == ["good"] else b'{"success":false}'

    async with siteverify(answer) as url:
        captcha = TurnstileCaptcha("secret", url)
        assert await captcha.passed("good", "203.0.113.7")
        assert not await captcha.passed("bad", None)
        await captcha.close()

    assert asked == [
        {"secret": ["secret"], "response": ["good"], "remoteip": ["203.0.113.7"]},
        {"secret": ["secret"], "response": ["bad"]},
    ]


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"success":"yes"}', b"[]"])
async def test_an_answer_that_cannot_be_read_is_no_pass(body: bytes) -> None:
    async with siteverify(lambda _: body) as url:
        captcha = TurnstileCaptcha("secret", url)
        with pytest.raises(CaptchaUnavailable):
            await captcha.passed("good", None)
        await captcha.close()


async def test_no_answer_is_no_pass(free_port: int) -> None:
    captcha = TurnstileCaptcha("secret", f"http://127.0.0.1:{free_port}/")
    with pytest.raises(CaptchaUnavailable):
        await captcha.passed("good", None)
    await captcha.close()


@pytest.mark.parametrize("token", ["", "x" * 2049])
async def test_what_can_be_no_token_is_not_even_asked_about(token: str) -> None:
    assert not await TurnstileCaptcha("secret", "http://127.0.0.1:1/").passed(token, None)


async def test_the_documented_test_keys_are_known_in_development() -> None:
    assert await DevelopmentCaptcha().passed(TEST_TOKEN, None)
    assert not await DevelopmentCaptcha().passed("another", None)
    assert await DevelopmentCaptcha(TEST_SECRET_PASSES).passed(TEST_TOKEN, None)
    for secret in (TEST_SECRET_FAILS, TEST_SECRET_SPENT):
        assert not await DevelopmentCaptcha(secret).passed(TEST_TOKEN, None)
