"""A VPS is changed so often an hour, and no more: whatever is done about it, its stop included, reads all of that."""

import pytest

from domain.compute.admission import delete_vps, start_vps, stop_vps
from domain.compute.change_limit import CHANGES_PER_HOUR_MAX, TooManyChanges
from domain.compute.commands import ChangeVps
from domain.compute.events import SnapshotRestoreRequested, VpsRenamed, VpsStartRequested
from domain.compute.snapshots import TakeSnapshot, restore_snapshot, take_snapshot
from domain.compute.vps import Vps
from domain.events import Event
from domain.pricing.price_book import PriceBook
from domain.time import Instant
from domain.wallet.vps_limits import VpsLimits
from domain.wallet.wallet import Wallet
from tests.domain.compute.lives import ACCOUNT, KEPT, LIVES, SNAPSHOT, VPS, after, at
from tests.domain.compute.test_changing import change_vps

NEXT_HOUR = at(2_800)


def changed(count: int, *life: Event) -> Vps:
    """Return a VPS that was renamed so often within the first hour."""
    return after(*life, *(VpsRenamed(f"n{number}", at(500)) for number in range(count)))


def rename(vps: Vps, now: Instant, **more: object) -> tuple[object, ...]:
    return change_vps(vps, ChangeVps(vps_id=VPS, account_id=ACCOUNT, name="db", **more), now).events  # type: ignore[arg-type]


def test_a_vps_is_changed_so_often_an_hour_and_then_again_in_the_next() -> None:
    full = changed(CHANGES_PER_HOUR_MAX, *LIVES["running"])
    with pytest.raises(TooManyChanges) as refused:
        rename(full, at(1_000))

    assert refused.value.facts == {"retry_after_seconds": 1_800}
    assert len(rename(full, NEXT_HOUR)) == 1
    assert len(rename(changed(CHANGES_PER_HOUR_MAX - 1, *LIVES["running"]), at(1_000))) == 1


def test_of_two_changes_at_once_both_count() -> None:
    nearly = changed(CHANGES_PER_HOUR_MAX - 1, *LIVES["running"])
    with pytest.raises(TooManyChanges):
        rename(nearly, at(1_000), labels={"role": "db"})


def test_what_changes_nothing_is_never_too_much() -> None:
    full = changed(CHANGES_PER_HOUR_MAX, *LIVES["running"])
    assert change_vps(full, ChangeVps(vps_id=VPS, account_id=ACCOUNT, name=full.name), at(1_000)).events == ()


def test_snapshots_restores_and_starts_count_as_well() -> None:
    full = changed(CHANGES_PER_HOUR_MAX, *KEPT)
    off = changed(CHANGES_PER_HOUR_MAX, *LIVES["stopped"])
    taken, now = TakeSnapshot(snapshot_id=SNAPSHOT, name="one-more"), at(1_000)
    wallet, book = Wallet(account_id=ACCOUNT), PriceBook()
    with pytest.raises(TooManyChanges):
        take_snapshot(full, wallet, book, (), VpsLimits(20, 500), 16, ACCOUNT, taken, now)
    with pytest.raises(TooManyChanges):
        restore_snapshot(full, wallet, book, ACCOUNT, "before", now)
    with pytest.raises(TooManyChanges):
        start_vps(off, wallet, book, (), ACCOUNT, now)
    for event in (SnapshotRestoreRequested(SNAPSHOT, 1, at(600)), VpsStartRequested(2, at(600))):
        assert after(*KEPT, event).changes_count == 2


def test_a_stop_and_a_delete_are_never_too_much() -> None:
    full = changed(CHANGES_PER_HOUR_MAX, *LIVES["running"])
    wallet = Wallet(account_id=ACCOUNT)
    assert stop_vps(full, wallet, ACCOUNT, at(1_000)).events
    assert delete_vps(full, wallet, ACCOUNT, at(1_000)).events
