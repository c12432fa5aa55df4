"""A VPS is changed in any state, wholly or not at all, and asked for again nothing is recorded."""

from uuid import UUID

import pytest

from domain.compute.changing import change_vps
from domain.compute.commands import ChangeVps
from domain.compute.events import VpsLabelled, VpsRenamed
from domain.compute.vps import labels_of
from domain.deciding import NOTHING
from domain.errors import Invalid, NotFound
from domain.ids import AccountId, vps_stream
from tests.domain.compute.lives import ACCOUNT, LIVES, VPS, after, at, vps_in

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
