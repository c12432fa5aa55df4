"""Passwords as text: one password is one, however it was typed."""

import time

import pytest

from domain.accounts.passwords import SPELLED_BYTES_MAX, checked_password, normalized, spellings
from domain.errors import Invalid


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("correct horse", "correct horse"),
        ("e\u0301te\u0301 2026", "\u00e9t\u00e9 2026"),
        ("\u212bngstro\u0308m", "\u00c5ngstr\u00f6m"),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", "\ud55c\uae00"),
        ("two\u00a0words\u3000here", "two words here"),
        ("UPPER \uff21\uff22", "UPPER \uff21\uff22"),
    ],
)
def test_a_password_is_brought_into_one_form(typed: str, form: str) -> None:
    assert normalized(typed) == form
    assert normalized(form) == form
    assert spellings(typed) == ((form,) if typed == form else (form, typed))


@pytest.mark.parametrize("password", ["x" * 8, "x" * 1024, "\u00f6" * 512, "o\u0308" * 512, "\U0001f511" * 8])
def test_what_fits_in_its_form_is_taken(password: str) -> None:
    assert checked_password(password) == normalized(password)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "at least 8 characters"),
        ("x" * 7, "at least 8 characters"),
        ("e\u0301" * 7, "at least 8 characters"),
        ("x" * 1025, "at most 1024 bytes"),
        ("\u00f6" * 513, "at most 1024 bytes"),
        ("o\u0308" * 513, "at most 1024 bytes"),
        ("x" * (SPELLED_BYTES_MAX + 1), "at most 1024 bytes"),
        ("line\nline\n", "no control characters"),
        ("tab\tttttttt", "no control characters"),
        ("\x7f" * 8, "no control characters"),
        ("\udc80" * 8, "must be text in UTF-8"),
    ],
)
def test_what_is_too_short_too_long_or_cannot_be_typed_is_refused(password: str, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_password(password, "new_password")

    fields = refused.value.facts["fields"]
    assert isinstance(fields, dict)
    assert set(fields) == {"new_password"}
    assert why in fields["new_password"]


def test_a_text_that_is_slow_to_be_brought_into_a_form_is_not() -> None:
    hostile = "a" + "\u0300\u0316" * 16_000
    began_s = time.thread_time()
    assert spellings(hostile) == (hostile,)
    with pytest.raises(Invalid):
        checked_password(hostile)

    assert time.thread_time() - began_s < 0.05
