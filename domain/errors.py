"""Refusals: every no that a caller can be told, named for its reason, with the facts of it; and broken invariants."""

from typing import ClassVar, TypeVar

T = TypeVar("T")

Fact = str | int | None | dict[str, str]


class InvariantBroken(Exception):
    """Something that only a mistake of ours can have brought about. Nothing is recorded, and nobody is told more.

    Raised where money or access would be at stake; an ``assert`` would be gone under ``python -O``.
    """


def not_none(value: T | None, why: str) -> T:
    """Return a value that is there. Raises InvariantBroken with the reason why it always is."""
    if value is None:
        raise InvariantBroken(why)
    return value


class Refusal(Exception):
    """A no. ``code`` is stable for programs, ``sentence`` for people, ``facts`` are told beside them.

    Subclasses live beside what they refuse; the HTTP status of each is mapped once, in the API.
    """

    code: ClassVar[str]
    sentence: ClassVar[str]

    def __init__(self, **facts: Fact) -> None:
        super().__init__(self.sentence)
        self.facts = facts


class NotFound(Refusal):
    """What was asked for does not exist, or belongs to another account: the same answer for both."""

    code = "not_found"
    sentence = "not found"


class Invalid(Refusal):
    """Fields that cannot be meant; ``fields`` tells why for each by name."""

    code = "invalid_request"
    sentence = "invalid request"


class Contended(Refusal):
    """So many changes to one thing at once that this one never had its turn; nothing was recorded."""

    code = "contended"
    sentence = "too many changes at once"
