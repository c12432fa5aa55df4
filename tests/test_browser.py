"""The browser of the tests does what a person would, and tells of what is wrong on a page."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.browser import Browser

PAGE = """<!doctype html><title>Greeting</title>
<form onsubmit="said.textContent = 'Hello ' + who.value; return false">
<label for=who>Your name</label><input id=who value=nobody><button>Greet</button></form><p id=said></p>"""
BROKEN = "<!doctype html><title>Broken</title><script>nothing.there()</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return one Chromium for the tests of this module."""
    with Browser() as browser:
        yield browser


def test_a_form_is_filled_in_and_sent_by_the_words_on_it(browser: Browser) -> None:
    page = browser.open("data:text/html," + quote(PAGE))
    page.fill("Your name", "Ada")
    page.click("Greet")
    page.wait_for("Hello Ada")

    assert page.title == "Greeting"
    assert page.focused() == "Greet"
    assert page.complaints() == []


def test_what_is_wrong_on_a_page_is_told(browser: Browser) -> None:
    assert browser.open("data:text/html," + quote(BROKEN)).complaints() == ["Uncaught"]


def test_waiting_ends(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    page = browser.open("data:text/html," + quote(PAGE))
    monkeypatch.setattr("tests.browser.WAIT_S", 0.1)

    with pytest.raises(AssertionError, match="in vain for the words 'Goodbye'"):
        page.wait_for("Goodbye")


def test_no_other_machine_is_reached(browser: Browser) -> None:
    for elsewhere in ("http://example.com/", "http://192.0.2.1:9/"):
        with pytest.raises(AssertionError, match="ERR_"):
            browser.open(elsewhere)
