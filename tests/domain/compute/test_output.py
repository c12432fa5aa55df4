"""Output past its limit is counted in bytes and cut between characters, and what is left out is counted."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.compute.output import whole_output

LIMIT_BYTES = 100


@pytest.mark.parametrize("character", ["a", "ü", "€", "😀"])
@pytest.mark.parametrize("shift", range(4))
def test_a_character_at_the_cut_is_left_out_whole(character: str, shift: int) -> None:
    told = whole_output(("x" * shift + character * 200).encode(), LIMIT_BYTES).text.decode()
    head, _, tail = told.partition("\n[... ")

    assert set(head) <= {"x", character}
    assert set(tail.partition(" ...]\n")[2]) == {character}


@given(st.binary(min_size=LIMIT_BYTES + 1, max_size=400), st.integers(0, LIMIT_BYTES))
def test_every_byte_is_told_or_counted(content: bytes, limit_bytes: int) -> None:
    told = whole_output(content, limit_bytes)

    assert told.truncated
    assert len(told.text) <= limit_bytes
    assert (told.size_bytes, told.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    if mark := re.search(rb"\n\[\.\.\. ([0-9]+) bytes left out \.\.\.\]\n", told.text):
        head, tail = told.text[: mark.start()], told.text[mark.end() :]
        assert content.startswith(head)
        assert content.endswith(tail)
        assert len(head) + int(mark[1]) + len(tail) == len(content)


@given(st.text(min_size=LIMIT_BYTES + 1, max_size=400), st.integers(0, LIMIT_BYTES))
def test_text_stays_text_wherever_it_is_cut(text: str, limit_bytes: int) -> None:
    whole_output(text.encode(), limit_bytes).text.decode()


@given(st.binary(min_size=LIMIT_BYTES + 1, max_size=400))
def test_what_is_no_text_loses_no_more_than_three_bytes_at_a_cut(content: bytes) -> None:
    assert len(whole_output(content, LIMIT_BYTES).text) >= LIMIT_BYTES - 64 + len("\n[... 1 bytes left out ...]\n") - 6
