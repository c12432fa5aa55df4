"""The service dies at each named fail point, once, and whoever comes after finds everything in order."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from adapters.simulated.faults import SimulatedCrash
from api.application import fail_points as failpoints
from api.application.jobs import run_job
from api.application.metering import settle_account
from api.application.worker_context import WorkerContext
from api.workers.provisioning import LEASE_S, Worker
from api.workers.reconciler import Reconciler
from domain.compute.capacity import Reservations
from domain.compute.egress import NONE
from domain.compute.events import VpsDeleted, VpsFailed, VpsRequested, VpsRunning
from domain.compute.ports import GuestSpec
from domain.compute.snapshots import SnapshotNameTaken
from domain.compute.vps import Vps, VpsIsStopping
from domain.errors import NotFound
from domain.exec.commands import RunJob
from domain.exec.events import JobFinished, JobRequested
from domain.exec.job import job_ref
from domain.ids import JobId, VpsId
from tests.api.compute_world import IDS, PRICE_HOURLY, Life, World, Worlds
from tests.journeys.minutes import check_minutes, minutes_of

pytestmark = pytest.mark.anyio

FUNDS = 1_000_000
SCRIPT = "#!/bin/sh\n" + "echo ready\n" * 500
IN_TROUBLE = ("fail", "differ", "expire")
"""What is only recorded where something goes wrong with a guest, or nobody deletes it."""


class Journey:
    """A customer with one VPS, over as many lives of the service as it takes."""

    def __init__(self, world: World, *, placed: bool = True) -> None:
        """``placed``: whether the VPS has its place from the first, as it has had since hosts have reservations."""
        self.placed = placed
        self.world = world
        self.vps_id = VpsId(IDS.new())
        self.job_id = JobId(IDS.new())
        self.crashes = 0
        self.life = Life()
        self.worker: WorkerContext
        self.reconciler: Reconciler
        self._tasks: list[asyncio.Task[None]] = []

    async def begin_life(self) -> None:
        """Start the service: it catches up, then works."""
        self.life = Life()
        self.worker = self.world.worker(self.life)
        self.reconciler = Reconciler(self.worker, orphan_grace_s=0)
        self._tasks.append(asyncio.create_task(Worker(self.worker, poll_s=0.02).run()))
        await self.tick()

    async def tick(self) -> None:
        await self.reconciler.reconcile()
        await settle_account(self.worker.aggregates, self.world.account_id)

    def crash(self) -> None:
        self.crashes += 1
        self.life.crash()

    async def go(self, leg: Callable[[], Awaitable[None]]) -> None:
        """Have a leg of the journey done, begun again by the customer if the service dies meanwhile."""
        while True:
            try:
                return await leg()
            except SimulatedCrash:
                self.world.clock.advance(LEASE_S + 1)
                await self.begin_life()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def settled(self) -> Vps:
        """Wait until there is nothing to do for the VPS, or the service has died."""
        waiting = asyncio.create_task(self.world.settled(self.world.worker(), self.vps_id))
        while not waiting.done():
            if self.life.over:
                waiting.cancel()
                raise SimulatedCrash
            await asyncio.wait([waiting], timeout=0.01)
        (vps,) = waiting.result()
        return vps

    async def create(self) -> None:
        if self.placed:
            if await self.world.worker().vps(self.vps_id) is None:
                self.vps_id = VpsId(IDS.new())  # As a request that is repeated has a new one, unless it was recorded.
                await self.world.create(self.worker, vps_id=self.vps_id, user_data=SCRIPT)
        elif await self.world.worker().vps(self.vps_id) is None:
            await self.world.create_unplaced(self.worker, vps_id=self.vps_id)
        assert (await self.settled()).state == "running"

    async def run_a_while(self) -> None:
        self.world.clock.advance(95)
        await self.tick()

    async def run_unseen(self) -> None:
        """Time passes, and nobody looks: only the last look before the end can prove it."""
        self.world.clock.advance(70)

    async def exec(self) -> None:
        ref = job_ref(self.job_id)
        if (await self.world.worker().aggregates.load(ref)).of(ref) is None:
            self.job_id = JobId(IDS.new())
        command = RunJob(
            job_id=self.job_id,
            account_id=self.world.account_id,
            vps_id=self.vps_id,
            command="cat >> /root/file; cat /root/file",
            timeout_s=30,
            stdin="once\n",
        )
        job = await run_job(self.worker, command, self.world.context("exec"), timeout_s_max=600)
        assert job.finished is not None
        assert (job.finished.exit_code, job.finished.stdout_bytes) == (0, len("once\n"))

    async def change(self) -> None:
        await self.world.change(self.worker, self.vps_id, name="renamed", labels={"a": "b"})
        vps = await self.world.worker().vps(self.vps_id)
        assert vps is not None
        assert (vps.name, vps.labels) == ("renamed", '{"a":"b"}')

    async def close_off(self) -> None:
        await self.world.change(self.worker, self.vps_id, egress="none")
        vps = await self.settled()
        assert vps.egress_applied == vps.egress_revision
        assert self.world.host.guests[self.vps_id].spec.egress == NONE

    async def take_snapshot(self) -> None:
        guest = self.world.host.guests[self.vps_id]
        guest.files["/root/word"] = b"old"
        with suppress(SnapshotNameTaken):
            await self.world.take_snapshot(self.worker, self.vps_id, "before")
        (snapshot,) = (await self.settled()).snapshots
        assert snapshot.state == "ready"
        assert set(guest.snapshots) == {snapshot.snapshot_id}

    async def restore(self) -> None:
        guest = self.world.host.guests[self.vps_id]
        guest.files["/root/word"] = b"new"
        before = await self.settled()
        await self.world.restore(self.worker, self.vps_id, "before")
        after = await self.settled()
        assert (after.state, after.restoring) == (before.state, None)
        assert guest.files["/root/word"] == b"old"

    async def delete_snapshot(self) -> None:
        with suppress(NotFound):
            await self.world.delete_snapshot(self.worker, self.vps_id, "before")
        assert (await self.settled()).snapshots == ()
        assert self.world.host.guests[self.vps_id].snapshots == {}
        assert (await self.world.reserved()).disk_gb == 5

    async def restart(self) -> None:
        await self.world.ask(self.worker, "restart", self.vps_id)
        assert (await self.settled()).state == "running"

    async def stop(self) -> None:
        await self.world.ask(self.worker, "stop", self.vps_id)
        assert (await self.settled()).state == "stopped"

    async def start(self) -> None:
        try:
            await self.world.ask(self.worker, "start", self.vps_id)
        except VpsIsStopping:
            await self.settled()
            await self.world.ask(self.worker, "start", self.vps_id)
        assert (await self.settled()).state == "running"

    async def guest_dies(self) -> None:
        if self.world.host.guests[self.vps_id].running:
            self.world.host.crash_guest(self.vps_id)
            self.world.clock.advance(1)
        await self.tick()
        assert (await self.settled()).state == "stopped"

    async def host_key_changes(self) -> None:
        guest = self.world.host.guests[self.vps_id]
        right, guest.host_key_public = guest.host_key_public, "ssh-ed25519 AAAAanother"
        try:
            if (await self.worker.vps(self.vps_id)).state == "running":  # type: ignore[union-attr]
                await self.world.ask(self.worker, "restart", self.vps_id)
            assert (await self.settled()).state == "error"
        finally:
            guest.host_key_public = right

    async def orphan_appears(self) -> None:
        """A guest of the deleted VPS: made by somebody who was late."""
        self.world.host.add_orphan(GuestSpec(self.vps_id, 1, "nobody", 1, 128, 1, "lite", 9999, (), "its-key"))
        await self.tick()
        assert self.world.host.guests == {}

    async def delete(self) -> None:
        try:
            await self.world.ask(self.worker, "delete", self.vps_id)
        except NotFound:
            assert self.crashes, "a VPS that was not deleted is there"
        await self.settled()

    async def time_is_over(self) -> None:
        """It was given a minute to live, and that is over."""
        vps = await self.world.worker().vps(self.vps_id)
        assert vps is not None
        if vps.expires_at is None:
            await self.world.change(self.worker, self.vps_id, ttl_minutes=1)
            self.world.clock.advance(60)
        await self.world.expired(self.worker, self.vps_id)
        assert (await self.settled()).deleted

    def legs(self, *, in_trouble: bool) -> list[Callable[[], Awaitable[None]]]:
        if in_trouble:
            return [
                *(self.create, self.run_a_while, self.guest_dies, self.start),
                *(self.host_key_changes, self.start, self.run_a_while, self.time_is_over, self.orphan_appears),
            ]
        return [
            *(
                self.create,
                self.run_a_while,
                self.exec,
                self.change,
                self.run_a_while,
                self.close_off,
                self.restart,
                self.run_a_while,
            ),
            *(self.take_snapshot, self.run_a_while, self.restore, self.run_a_while, self.run_unseen, self.restore),
            *(self.run_unseen, self.stop, self.restore, self.start, self.run_a_while, self.delete_snapshot),
            *(self.take_snapshot, self.run_unseen, self.delete),
        ]


@pytest.mark.parametrize("name", failpoints.ALL)
async def test_after_a_crash_here_everything_is_in_order(name: str, worlds: Worlds) -> None:
    in_trouble = name.partition(":")[0] in IN_TROUBLE
    journey = Journey(await worlds(), placed=not name.startswith("place:"))
    await journey.world.founded(FUNDS)
    with failpoints.armed(name, journey.crash):
        await journey.go(journey.begin_life)
        for leg in journey.legs(in_trouble=name.split(":", maxsplit=1)[0] in IN_TROUBLE):
            await journey.go(leg)
    await journey.end()

    assert journey.crashes == 1, "the journey never came to this fail point"
    assert journey.world.host.guests == {}, "a guest was left behind"
    assert await journey.world.reserved() == Reservations(), "something is held for what is gone"
    await _check_recorded_once(journey)
    await _check_minutes(journey, in_trouble=in_trouble)


async def _check_recorded_once(journey: Journey) -> None:
    events = journey.world.events
    assert len(await events(VpsRequested)) == len(await events(VpsDeleted)) == 1
    generations = [event.generation for event in await events(VpsRunning)]  # type: ignore[attr-defined]
    assert generations == sorted(set(generations)), "a start was told twice"
    assert len(await events(VpsFailed)) <= 1
    assert len(await events(JobRequested)) == len(await events(JobFinished)) <= 1


async def _check_minutes(journey: Journey, *, in_trouble: bool) -> None:
    """Every minute of every run is used once, in order, and paid."""
    minutes = minutes_of(journey.vps_id, await journey.world.events())
    # Nobody can prove what a guest did between the last look at it and its death; all else is paid.
    check_minutes(minutes, waived_max=1 if in_trouble else 0)
    balance = (await journey.world.wallet()).balance
    if not minutes.waived:
        assert balance == FUNDS - PRICE_HOURLY * len(minutes.paid) // 60
