"""What the table of mutations takes out is there to be taken out, once, and its tests are there."""

from collections import Counter
from pathlib import Path

import pytest

from tests.mutations.mutation import Mutation
from tests.mutations.table import MUTATIONS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_is_of_the_source_as_it_is(mutation: Mutation) -> None:
    tests = [argument.partition("::")[0] for argument in mutation.test.split() if argument.startswith("tests/")]

    assert (ROOT / mutation.path).read_text().count(mutation.old) == 1
    assert mutation.new != mutation.old
    assert tests
    assert all((ROOT / test).exists() for test in tests)


def test_each_mutation_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(one.name for one in MUTATIONS).items() if count > 1] == []
