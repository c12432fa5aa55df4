"""Tests of the list of VPSs as an account is given it."""

import pytest

from projections.reading import ReadModels
from projections.vps_list import ProjectedVpsList
from tests.projections.history import History

pytestmark = pytest.mark.anyio


async def test_an_account_reads_the_names_of_its_vpss_at_once(history: History, followed: ReadModels) -> None:
    ada = await history.registered()
    vps_list = ProjectedVpsList(followed, history.store, history.sealer)
    assert await vps_list.of_account(ada, None) == []
    await history.vps_requested(ada, "web-01")
    running = await history.vps_requested(ada, "web-02")
    await history.vps_running(ada, running)
    assert [vps.name for vps in await vps_list.of_account(ada, None)] == ["web-02", "web-01"]
    assert [vps.name for vps in await vps_list.of_account(ada, "creating")] == ["web-01"]
