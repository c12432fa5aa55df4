"""A client is told in the type that it likes best of those that are offered."""

import pytest

from api.http.pipeline.errors import NotAcceptable
from api.http.pipeline.negotiation import preferred

OFFERED = ("application/json", "text/csv", "application/pdf")


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        (None, "application/json"),
        (b" ", "application/json"),
        (b"*/*", "application/json"),
        (b"text/csv", "text/csv"),
        (b"TEXT/CSV; charset=utf-8", "text/csv"),
        (b"text/*", "text/csv"),
        (b"application/pdf, text/csv;q=0.9", "application/pdf"),
        (b"text/csv;q=0.1, application/pdf;q=0.25", "application/pdf"),
        (b"application/json;q=0, */*", "text/csv"),
        (b"text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        (b"application/problem+json", "application/json"),
        (b"application/problem+json, application/pdf", "application/json"),
        (b"text/csv;q=high", "text/csv"),
    ],
)
def test_the_best_type_is_told(accept: bytes | None, told: str) -> None:
    assert preferred(accept, OFFERED) == told


@pytest.mark.parametrize("accept", [b"text/html", b"image/*", b"text/csv;q=0", b"*/*;q=0.000", b"\xff,,"])
def test_what_is_not_offered_is_refused(accept: bytes) -> None:
    with pytest.raises(NotAcceptable):
        preferred(accept, OFFERED)
