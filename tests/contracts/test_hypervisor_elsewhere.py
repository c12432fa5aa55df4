"""A hypervisor whose host is elsewhere, reached by SSH alone, keeps the contract too.

Of the contract's tests those that touch files or outlive a connection: all of them take minutes. With ``LITEVPS_LONG``
all are run.
"""

import inspect
import os

import pytest

from tests.contracts import test_hypervisor as contract
from tests.contracts.hypervisors import Host, folder_elsewhere, host_elsewhere

__all__ = ["folder_elsewhere", "host_elsewhere"]

pytestmark = [pytest.mark.anyio, pytest.mark.host, pytest.mark.slow]

CHOSEN = (
    contract.test_a_prepared_guest_runs_as_its_generation,
    contract.test_a_guest_that_was_only_prepared_is_shown_so_that_it_cannot_be_forgotten,
    contract.test_what_another_ledger_had_made_is_not_shown,
)
ALL = tuple(
    test
    for name, test in vars(contract).items()
    if name.startswith("test_") and list(inspect.signature(test).parameters) == ["host"]
)


@pytest.mark.parametrize(
    "test", ALL if "LITEVPS_LONG" in os.environ else CHOSEN, ids=lambda test: test.__name__.removeprefix("test_")
)
async def test_elsewhere(host_elsewhere: Host, test: object) -> None:
    await test(host_elsewhere)  # type: ignore[operator]
