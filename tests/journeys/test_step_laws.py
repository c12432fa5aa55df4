"""Two laws for every step of the table: done again it changes nothing, and failing it ends in the goal or cleanly."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import get_args

import pytest

from api.workers.steps import runner
from api.workers.steps.attempt import Attempt
from domain.compute.capacity import Reservations
from domain.compute.egress import NONE
from domain.compute.events import HostObserved
from domain.compute.ports import HypervisorUnavailable
from domain.compute.steps import STEPS, Step, StepName, next_step
from domain.compute.vps import Vps
from domain.pauses import Pauses
from tests.api.compute_world import World, Worlds
from tests.journeys.minutes import check_minutes, minutes_of
from tests.journeys.test_crashes import FUNDS, Journey
from tests.steps import change_steps

pytestmark = pytest.mark.anyio

NAMES = get_args(StepName)
STARTS_AND_STOPS: tuple[StepName, ...] = ("place", "prepare", "launch", "login", "reboot", "halt")
ABOUT_SNAPSHOTS: tuple[StepName, ...] = ("take-snapshot", "remove-snapshot", "restore")
Take = Callable[[Attempt, Vps, Step], Awaitable[None]]


async def recorded(world: World) -> int:
    """Return how much was recorded but what hosts showed, which may be seen again."""
    return sum(not isinstance(event, HostObserved) for event in await world.events())


async def travelled(world: World, *, placed: bool) -> Journey:
    """Have a VPS made, used in every way and deleted."""
    journey = Journey(world, placed=placed)
    await world.founded(FUNDS)
    await journey.go(journey.begin_life)
    for leg in journey.legs(in_trouble=False):
        await journey.go(leg)
    await journey.end()
    return journey


async def check_nothing_is_left(world: World) -> None:
    assert world.host.guests == {}, "a guest was left behind"
    assert await world.reserved() == Reservations(), "something is held for what is gone"


@pytest.mark.parametrize("name", NAMES)
async def test_a_step_that_is_done_again_changes_nothing(
    name: StepName, worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, take, repeated = await worlds(), runner.TAKE[name], list[str]()

    async def twice(attempt: Attempt, vps: Vps, step: Step) -> None:
        await take(attempt, vps, step)
        if next_step(await attempt.worker.vps(vps.vps_id)) == step:
            return  # It is not at its end.
        before = await recorded(world)
        await take(attempt, vps, step)
        assert await recorded(world) == before, "it was recorded again"
        repeated.append(step.row.stage)

    monkeypatch.setitem(runner.TAKE, name, twice)
    journey = await travelled(world, placed=name != "place")

    assert repeated, "no journey comes to this step"
    await check_nothing_is_left(world)
    check_minutes(minutes_of(journey.vps_id, await world.events()), waived_max=0)


@pytest.mark.parametrize("name", NAMES)
async def test_a_step_of_which_the_answer_is_lost_is_taken_again_and_ends_in_the_goal(
    name: StepName, worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By a clock that stands still: what is left alone for a while would be so for ever.
    change_steps(monkeypatch, pauses=Pauses(0, 0))
    world, take, lost = await worlds(), runner.TAKE[name], list[str]()

    async def once_lost(attempt: Attempt, vps: Vps, step: Step) -> None:
        await take(attempt, vps, step)
        if not lost:
            lost.append(step.row.stage)
            raise HypervisorUnavailable("the answer is lost")

    monkeypatch.setitem(runner.TAKE, name, once_lost)
    journey = await travelled(world, placed=name != "place")

    assert lost, "no journey comes to this step"
    await check_nothing_is_left(world)
    check_minutes(minutes_of(journey.vps_id, await world.events()), waived_max=0)


@pytest.mark.parametrize("name", STARTS_AND_STOPS)
async def test_a_step_that_cannot_be_done_ends_in_a_clean_error_from_which_a_start_leads_on(
    name: StepName, worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_steps(monkeypatch, deadline_s=0.05, pauses=Pauses(0.01, 0.01))
    world, take, broken = await worlds(), runner.TAKE[name], True

    async def fails(attempt: Attempt, vps: Vps, step: Step) -> None:
        # What is tried for ever is put right one day.
        if broken and step.row.deadline_s is not None:
            raise HypervisorUnavailable("it cannot be done")
        await take(attempt, vps, step)

    monkeypatch.setitem(runner.TAKE, name, fails)
    worker = await world.founded(FUNDS)
    async with world.working(worker):
        vps_id = await (world.create_unplaced(worker) if name == "place" else world.create(worker))
        (vps,) = await world.settled(worker, vps_id)
        if name in ("reboot", "halt"):
            assert vps.state == "running"
            world.clock.advance(1)
            await world.ask(worker, "restart" if name == "reboot" else "stop", vps_id)
            (vps,) = await world.settled(worker, vps_id)
        # A stop that was given up and put right later has come to its goal.
        assert (vps.state, vps.power) == ("stopped" if name == "halt" else "error", "off")
        assert not any(guest.running for guest in world.host.guests.values())
        assert len((await world.minutes(vps_id))[0]) == (1 if name in ("reboot", "halt") else 0)

        broken = False
        await world.ask(worker, "start", vps_id)
        (vps,) = await world.settled(worker, vps_id)
        assert vps.state == "running"
        await world.ask(worker, "delete", vps_id)
        await world.settled(worker, vps_id)
    await check_nothing_is_left(world)


@pytest.mark.parametrize("name", ABOUT_SNAPSHOTS)
async def test_a_step_about_a_snapshot_that_cannot_be_done_ends_cleanly_and_is_had_once_it_is_asked_for_again(
    name: StepName, worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_steps(monkeypatch, deadline_s=0.05, pauses=Pauses(0.01, 0.01))
    world, take, broken = await worlds(), runner.TAKE[name], True

    async def fails(attempt: Attempt, vps: Vps, step: Step) -> None:
        if broken:
            raise HypervisorUnavailable("it cannot be done")
        await take(attempt, vps, step)

    monkeypatch.setitem(runner.TAKE, name, fails)
    async with world.with_vps() as (worker, vps_id):
        await world.take_snapshot(worker, vps_id, "before")
        (vps,) = await world.settled(worker, vps_id)
        if name == "restore":
            await world.restore(worker, vps_id, "before")
        elif name == "remove-snapshot":
            await world.delete_snapshot(worker, vps_id, "before")
        (vps,) = await world.settled(worker, vps_id)
        # The guest is none the worse, unless its disk was to be another; and whatever the host may have counts as kept.
        assert (vps.state, vps.power) == (("error", "off") if name == "restore" else ("running", "up"))
        assert [one.state for one in vps.snapshots] == ["ready" if name == "restore" else "error"]
        assert (vps.pending, vps.restoring) == (None, None)
        assert (await world.reserved()).disk_gb == 10

        broken = False
        if name == "restore":
            await world.restore(worker, vps_id, "before")
            await world.settled(worker, vps_id)
            await world.ask(worker, "start", vps_id)
            await world.settled(worker, vps_id)
        await world.delete_snapshot(worker, vps_id, "before")
        (vps,) = await world.settled(worker, vps_id)
        assert (vps.state, vps.snapshots) == ("running", ())
        assert (await world.reserved()).disk_gb == 5
        await world.ask(worker, "delete", vps_id)
        await world.settled(worker, vps_id)
    await check_nothing_is_left(world)
    check_minutes(minutes_of(vps_id, await world.events()), waived_max=0)


async def test_a_policy_that_cannot_be_put_in_force_is_tried_for_ever_and_keeps_no_stop_waiting(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_steps(monkeypatch, "filter", pauses=Pauses(0, 0))
    world, take, tries, tried_again = await worlds(), runner.TAKE["filter"], 0, asyncio.Event()

    async def fails(attempt: Attempt, vps: Vps, step: Step) -> None:
        nonlocal tries
        tries += 1
        if tries > 2:
            tried_again.set()
        raise HypervisorUnavailable("it cannot be done")

    monkeypatch.setitem(runner.TAKE, "filter", fails)
    async with world.with_vps() as (worker, vps_id):
        await world.change(worker, vps_id, egress="none")
        await asyncio.wait_for(tried_again.wait(), 30)
        await world.ask(worker, "stop", vps_id)
        (vps,) = await world.settled(worker, vps_id)
        assert (vps.state, vps.egress_applied < vps.egress_revision) == ("stopped", True)

        monkeypatch.setitem(runner.TAKE, "filter", take)
        await world.ask(worker, "start", vps_id)
        (vps,) = await world.settled(worker, vps_id)
        assert (vps.state, vps.egress_applied) == ("running", vps.egress_revision)
        assert world.host.guests[vps_id].spec.egress == NONE
        await world.ask(worker, "delete", vps_id)
        await world.settled(worker, vps_id)
    await check_nothing_is_left(world)


def test_every_row_of_the_table_is_under_these_laws() -> None:
    assert {row.name for row in STEPS} == set(NAMES)
    assert {row.name for row in STEPS if row.given_up} == {*STARTS_AND_STOPS, *ABOUT_SNAPSHOTS}
