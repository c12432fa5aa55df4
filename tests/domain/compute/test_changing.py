"""A VPS is changed in any state, wholly or not at all, and asked for again nothing is recorded."""

from uuid import UUID

import msgspec
import pytest

from domain.compute import vps as life
from domain.compute.changing import change_vps
from domain.compute.commands import ChangeVps, CreateVps
from domain.compute.egress import NONE, OPEN, Egress, to_text
from domain.compute.events import VpsEgressApplied, VpsEgressSet, VpsLabelled, VpsRenamed
from domain.compute.outcomes import filtered
from domain.compute.steps import next_step
from domain.compute.vps import Vps, egress_of, labels_of
from domain.deciding import NOTHING
from domain.errors import Invalid, NotFound
from domain.ids import AccountId, vps_stream
from tests.domain.compute.lives import ACCOUNT, CREATE, LIVES, VPS, after, at, vps_in

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
