"""Labels: each can be found again by its key, and by key and value."""

import pytest

from domain.compute.labels import LABEL_CHARACTERS_MAX, LABELS_MAX, wrong_labels


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"env": "prod"},
        {"env": ""},
        {"team/Größe": "a = b, c"},
        {"k" * LABEL_CHARACTERS_MAX: "v" * LABEL_CHARACTERS_MAX},
    ],
)
def test_labels_are_taken(labels: dict[str, str]) -> None:
    assert wrong_labels(labels) is None


@pytest.mark.parametrize(
    "labels",
    [
        {"": "prod"},
        {" ": "prod"},
        {"env ": "prod"},
        {"a=b": "c"},
        {"=": ""},
        {"env\n": "prod"},
        {"env": "prod\n"},
        {"env": "a\x1b[31m"},
        {"env": "\u202edorp"},
        {"k" * (LABEL_CHARACTERS_MAX + 1): ""},
        {"env": "v" * (LABEL_CHARACTERS_MAX + 1)},
        {f"k{number}": "" for number in range(LABELS_MAX + 1)},
    ],
)
def test_what_could_not_be_found_again_is_refused(labels: dict[str, str]) -> None:
    assert wrong_labels(labels)
