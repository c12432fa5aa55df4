"""A VPS is changed in any state, wholly or not at all, and asked for again nothing is recorded."""

from uuid import UUID

import msgspec
import pytest

from domain.accounts.account import Unauthorized
from domain.compute import vps as life
from domain.compute.capacity import FOLD as CAPACITY_FOLD
from domain.compute.capacity import NoCapacity, PlanNotOfHost, Reservations, Room
from domain.compute.changing import DiskCannotShrink
from domain.compute.changing import change_vps as decide_change
from domain.compute.commands import ChangeVps, CreateVps
from domain.compute.egress import NONE, OPEN, Egress, to_text
from domain.compute.events import CapacityReserved, VpsEgressApplied, VpsEgressSet, VpsLabelled, VpsRenamed, VpsResized
from domain.compute.outcomes import filtered
from domain.compute.steps import next_step
from domain.compute.vps import Vps, VpsIsCreating, VpsNotStopped, egress_of, labels_of
from domain.deciding import NOTHING, Decision
from domain.errors import Invalid, NotFound
from domain.ids import AccountId, PlanId, TokenId, capacity_stream, vps_stream, wallet_stream
from domain.money import MicroUsd
from domain.pricing.price_book import Plan, Price, PriceBook
from domain.time import Instant
from domain.wallet.events import (
    MeterClosed,
    MeterStarted,
    MinuteLine,
    MinutesMetered,
    TokenLimited,
    VpsAdmitted,
    VpsPlanChanged,
    VpsReleased,
)
from domain.wallet.funds import VpsOfAnother
from domain.wallet.vps_limits import VpsDiskLimitReached, VpsLimits
from domain.wallet.wallet import FOLD as WALLET_FOLD
from tests.domain.compute.lives import ACCOUNT, CREATE, HOST, LIVES, PLAN, VPS, after, at, vps_in
from tests.domain.compute.test_host import host_after
from tests.domain.compute.test_outcomes import ADMITTED, METER_STARTED, wallet_after

BIG, SLIM = PlanId(UUID(int=70)), PlanId(UUID(int=71))
BOOK = PriceBook(
    {
        PLAN: Plan(PLAN, "small", 1, 256, 5, (Price(1, MicroUsd(4200), at(0)),)),
        BIG: Plan(BIG, "big", 4, 1024, 20, (Price(1, MicroUsd(60_000), at(0)),)),
        SLIM: Plan(SLIM, "slim", 4, 1024, 4, (Price(1, MicroUsd(60_000), at(0)),)),
    }
)
CLOSED = wallet_after(ADMITTED, METER_STARTED, VpsReleased(VPS, 1, at(100), "stop"), MeterClosed(VPS, 1, at(104)))
HELD = CAPACITY_FOLD.evolve(Reservations(), CapacityReserved(HOST, VPS, 1, 0, 0, 5, None))
RESIZED = ChangeVps(vps_id=VPS, account_id=ACCOUNT, plan_id=BIG)


def rooms(disk_gb: int | None = None, labels: dict[str, str] | None = None) -> tuple[Room, ...]:
    host = msgspec.structs.replace(host_after(), disk_gb=disk_gb, labels=labels or {})
    return (Room(host, HELD, cpu_percent=100, disk_percent=100),)


def change_vps(
    vps: Vps | None,
    command: ChangeVps,
    now: Instant,
    *,
    disk_gb: int | None = None,
    limit_gb: int = 500,
    labels: dict[str, str] | None = None,
) -> Decision:
    return decide_change(vps, CLOSED, BOOK, rooms(disk_gb, labels), VpsLimits(20, limit_gb), command, now)


RENAMED = ChangeVps(vps_id=VPS, account_id=ACCOUNT, name="db")
THERE = sorted(set(LIVES) - {"deleting", "deleted"})


@pytest.mark.parametrize("point", THERE)
def test_a_vps_is_renamed_and_labelled_in_every_state_it_exists_in(point: str) -> None:
    command = ChangeVps(vps_id=VPS, account_id=ACCOUNT, name="db", labels={"role": "db"})

    decision = change_vps(vps_in(point), command, at(500))
    vps = after(*LIVES[point], *(event for _, event in decision.events))

    assert decision.events == (
        (vps_stream(VPS), VpsRenamed("db", at(500))),
        (vps_stream(VPS), VpsLabelled('{"role":"db"}', at(500))),
    )
    assert (vps.name, labels_of(vps)) == ("db", {"role": "db"})


def test_what_is_so_already_is_not_recorded() -> None:
    same = ChangeVps(vps_id=VPS, account_id=ACCOUNT, name="web", labels={})

    assert change_vps(vps_in("running"), same, at(500)) == NOTHING
    assert change_vps(vps_in("running"), ChangeVps(vps_id=VPS, account_id=ACCOUNT), at(500)) == NOTHING


def test_labels_that_are_all_taken_away_are_none() -> None:
    labelled = after(*LIVES["running"], VpsLabelled('{"role":"db"}', at(400)))

    decision = change_vps(labelled, ChangeVps(vps_id=VPS, account_id=ACCOUNT, labels={}), at(500))

    assert decision.events == ((vps_stream(VPS), VpsLabelled(None, at(500))),)


@pytest.mark.parametrize("point", THERE)
def test_what_a_guest_may_reach_is_changed_in_every_state_and_its_host_is_told_while_it_may_be_on(point: str) -> None:
    command = ChangeVps(vps_id=VPS, account_id=ACCOUNT, egress=("*.Example.org", "9.9.9.9"))

    decision = change_vps(vps_in(point), command, at(500))
    vps = after(*LIVES[point], *(event for _, event in decision.events))

    assert egress_of(vps) == Egress("allow", names=("*.example.org",), networks=("9.9.9.9/32",))
    assert (vps.egress_applied == vps.egress_revision) == (vps.power == "off" or vps.host_id is None)
    assert change_vps(vps, command, at(501)) == NOTHING


def test_a_policy_that_was_overtaken_while_it_was_applied_is_not_the_last_word() -> None:
    twice = (VpsEgressSet(to_text(NONE), at(80)), VpsEgressSet(to_text(OPEN), at(81)))
    vps = after(*LIVES["running"], *twice, VpsEgressApplied(1, 1, at(82)))

    step = next_step(vps)
    assert step is not None
    assert step.name == "filter"
    assert filtered(vps, step, 1, at(83)) == NOTHING, "it was recorded already"
    assert next_step(after(*LIVES["running"], *twice, VpsEgressApplied(1, 2, at(83)))) is None


def test_a_policy_waits_for_no_restart_and_keeps_no_stop_or_delete_waiting() -> None:
    closed = VpsEgressSet(to_text(NONE), at(95))
    following = {
        "restarting": "filter",
        "stopping": "halt",
        "deleting": "remove",
        "starting": "launch",
        "launched": "login",
    }
    steps = {point: next_step(after(*LIVES[point], closed)) for point in following}
    assert {point: step.name if step else None for point, step in steps.items()} == following


def test_a_new_vps_is_started_with_what_was_asked_for() -> None:
    closed = after_creation(msgspec.structs.replace(CREATE, egress="none"))
    assert (egress_of(closed), next_step(after(*LIVES["running"])) is None) == (NONE, True)
    assert closed.egress_applied == closed.egress_revision == 1
    assert egress_of(after_creation(CREATE)) == egress_of(
        after_creation(msgspec.structs.replace(CREATE, egress="open"))
    )


def after_creation(command: CreateVps) -> Vps:
    """Return the VPS after its creation alone."""
    vps: Vps | None = None
    for event in life.create(command, at(0)):
        vps = life.evolve(vps, event)
    assert vps is not None
    return vps


def test_a_list_with_a_private_network_is_refused_by_name() -> None:
    with pytest.raises(Invalid) as refused:
        change_vps(vps_in("running"), ChangeVps(vps_id=VPS, account_id=ACCOUNT, egress=("10.0.0.0/8",)), at(500))
    assert refused.value.facts["fields"] == {"egress": "must leave out 10.0.0.0/8, which no guest ever reaches"}


@pytest.mark.parametrize("point", ["deleting", "deleted"])
def test_what_is_deleted_is_not_changed(point: str) -> None:
    with pytest.raises(NotFound):
        change_vps(vps_in(point), RENAMED, at(500))


def test_what_is_anothers_is_not_changed() -> None:
    with pytest.raises(NotFound):
        change_vps(vps_in("running"), ChangeVps(vps_id=VPS, account_id=AccountId(UUID(int=99)), name="db"), at(500))
    with pytest.raises(NotFound):
        change_vps(None, RENAMED, at(500))


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (ChangeVps(vps_id=VPS, account_id=ACCOUNT, name="-db", labels={"role": "db"}), "name"),
        (ChangeVps(vps_id=VPS, account_id=ACCOUNT, name="db", labels={"": "db"}), "labels"),
    ],
)
def test_a_change_of_which_a_part_is_wrong_changes_nothing(command: ChangeVps, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        change_vps(vps_in("running"), command, at(500))

    fields = refused.value.facts["fields"]
    assert isinstance(fields, dict)
    assert list(fields) == [field]


@pytest.mark.parametrize("point", ["stopped", "in error, off"])
def test_one_that_is_off_is_resized_and_holds_more_disk_of_its_host_at_once(point: str) -> None:
    decision = change_vps(vps_in(point), RESIZED, at(500))

    assert decision.events == (
        (capacity_stream(HOST), CapacityReserved(HOST, VPS, 1, 0, 0, 20, None)),
        (wallet_stream(ACCOUNT), VpsPlanChanged(ACCOUNT, VPS, BIG, at(500))),
        (vps_stream(VPS), VpsResized(BIG, 4, 1024, 20, at(500))),
    )
    vps = after(*LIVES[point], decision.events[-1][1])
    assert (vps.plan_id, vps.vcpu, vps.memory_mb, vps.disk_gb) == (BIG, 4, 1024, 20)
    assert change_vps(vps, RESIZED, at(501)) == NOTHING


@pytest.mark.parametrize(
    "point", [point for point in THERE if point != "in error, off" and not point.startswith("stopped")]
)
def test_one_that_is_on_or_on_its_way_is_not_resized_and_nothing_else_of_it_changed(point: str) -> None:
    both = msgspec.structs.replace(RESIZED, name="db")

    with pytest.raises((VpsNotStopped, VpsIsCreating)):
        change_vps(vps_in(point), both, at(500))


def test_a_disk_never_shrinks() -> None:
    with pytest.raises(DiskCannotShrink) as refused:
        change_vps(vps_in("stopped"), msgspec.structs.replace(RESIZED, plan_id=SLIM), at(500))

    assert refused.value.facts == {"disk_gb": 5, "plan_disk_gb": 4}


def test_a_disk_grows_as_far_as_account_and_host_have_room() -> None:
    with pytest.raises(VpsDiskLimitReached):
        change_vps(vps_in("stopped"), RESIZED, at(500), limit_gb=19)
    with pytest.raises(NoCapacity):
        change_vps(vps_in("stopped"), RESIZED, at(500), disk_gb=19)
    assert change_vps(vps_in("stopped"), RESIZED, at(500), limit_gb=20, disk_gb=20).events


def test_a_vps_is_resized_to_no_plan_that_its_host_is_not_for() -> None:
    # Else a cheap plan is had on the hosts of a dear one: a VPS is made there, and resized at once.
    with pytest.raises(PlanNotOfHost):
        change_vps(vps_in("stopped"), RESIZED, at(500), labels={"plans": "small"})
    assert change_vps(vps_in("stopped"), RESIZED, at(500), labels={"plans": "small, big"}).events


def test_a_plan_that_is_not_offered_is_none() -> None:
    with pytest.raises(Invalid):
        change_vps(vps_in("stopped"), msgspec.structs.replace(RESIZED, plan_id=PlanId(UUID(int=99))), at(500))


def test_a_token_with_a_limit_resizes_only_what_counts_against_it() -> None:
    token_id = TokenId(UUID(int=55))
    limited = WALLET_FOLD.evolve(CLOSED, TokenLimited(ACCOUNT, token_id, MicroUsd(1), "total", None))
    asked = msgspec.structs.replace(RESIZED, asked_by=token_id)

    with pytest.raises(VpsOfAnother):
        decide_change(vps_in("stopped"), limited, BOOK, rooms(), VpsLimits(20, 500), asked, at(500))
    with pytest.raises(Unauthorized):
        decide_change(vps_in("stopped"), CLOSED, BOOK, rooms(), VpsLimits(20, 500), asked, at(500))


@pytest.mark.parametrize(
    ("plans", "first_due_s"),
    [([PLAN], 160), ([BIG], 110), ([BIG, PLAN], 160)],
)
def test_a_paid_minute_covers_a_later_run_of_its_own_plan_alone(plans: list[PlanId], first_due_s: float) -> None:
    line = MinuteLine(VPS, 1, 1, at(100), PLAN, 1, MicroUsd(4200), MicroUsd(70))
    wallet = WALLET_FOLD.evolve(CLOSED, MinutesMetered(ACCOUNT, (line,)))
    for plan_id in plans:
        wallet = WALLET_FOLD.evolve(wallet, VpsPlanChanged(ACCOUNT, VPS, plan_id, at(105)))
    wallet = WALLET_FOLD.evolve(wallet, VpsAdmitted(ACCOUNT, VPS, 2, plans[-1], None, at(0)))
    wallet = WALLET_FOLD.evolve(wallet, MeterStarted(VPS, 2, at(110)))

    assert wallet.meters[VPS].first_due_at == at(first_due_s)
