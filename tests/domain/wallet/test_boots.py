"""Boot is free, and bounded: three starts that the guest lets fail, or as much boot, are all that an hour allows."""

from uuid import UUID

import pytest

from domain.compute.steps import row_of
from domain.events import Event
from domain.ids import VpsId
from domain.money import MicroUsd
from domain.time import HOUR, Instant, seconds
from domain.wallet.boots import BOOT_MAX, TooManyFailedStarts
from domain.wallet.commands import AdmitVps
from domain.wallet.events import BootEnded, BootEnding, VpsReleased
from domain.wallet.funds import InsufficientBalance, admit, end_boot, start_meter
from domain.wallet.wallet import Wallet
from tests.domain.wallet.wallets import BOOK, MAIL, SMALL, T0, WEB, admitted, after, given, running


def at(after_s: float) -> Instant:
    return Instant(T0 + seconds(after_s))


def boot(ended_s: float, lasted_s: float = 180, ending: BootEnding = "failed", vps_id: VpsId = WEB) -> BootEnded:
    return BootEnded(vps_id, 1, at(ended_s - lasted_s), at(ended_s), ending)


def start(wallet: Wallet, now_s: float, vps_id: VpsId = WEB, failed_starts_max: int = 10) -> tuple[Event, ...]:
    command = AdmitVps(vps_id, 9, SMALL, T0, failed_starts_max=failed_starts_max)
    return admit(wallet, BOOK, command, at(now_s))


def refused_for(wallet: Wallet, now_s: float, vps_id: VpsId = WEB, failed_starts_max: int = 10) -> object:
    """Return how many seconds a start has to wait; None where it is let on."""
    try:
        start(wallet, now_s, vps_id, failed_starts_max)
    except TooManyFailedStarts as refusal:
        return refusal.facts["retry_after_seconds"]
    return None


def test_a_guest_is_waited_for_as_long_as_one_failed_start_counts() -> None:
    deadline_s = row_of("launched").deadline_s

    assert deadline_s is not None
    assert seconds(deadline_s) == BOOT_MAX


def test_after_three_failed_starts_within_an_hour_a_vps_is_not_started_until_the_first_is_an_hour_old() -> None:
    wallet = given(boot(200), boot(400), funds=10_000)

    assert refused_for(wallet, 401) is None
    wallet = after(wallet, boot(600))
    assert refused_for(wallet, 600.5) == 3_200
    assert refused_for(wallet, 3_799.5) == 1
    assert refused_for(wallet, 3_800) is None


def test_a_start_that_fails_at_once_counts_as_one_that_was_waited_for() -> None:
    """A guest may answer with another host key: nothing is waited for, and it may have been on long before."""
    assert refused_for(given(*(boot(k, lasted_s=0) for k in (1, 2, 3)), funds=10_000), 4) == 3_597


def test_another_vps_of_the_account_may_still_be_started() -> None:
    wallet = given(boot(1), boot(2), boot(3), funds=10_000)

    assert refused_for(wallet, 4, MAIL) is None


def test_vpss_made_and_deleted_in_turn_are_bounded_by_their_account() -> None:
    wallet = given(*(boot(k, vps_id=VpsId(UUID(int=k))) for k in range(1, 11)), funds=10_000)

    assert refused_for(wallet, 11, MAIL) == 3_590
    assert refused_for(wallet, 11, MAIL, failed_starts_max=11) is None


def test_starts_that_end_before_the_login_count_for_as_long_as_they_booted() -> None:
    ended = [boot(170 * k, 170, "abandoned") for k in range(1, 4)]

    assert refused_for(given(*ended, funds=10_000), 511) is None
    assert refused_for(given(*ended, boot(600, 30, "abandoned"), funds=10_000), 600) == 170 + 3_600 - 600


def test_boots_that_are_ended_soon_are_nobodys_loss() -> None:
    ended = [boot(k, 5, "abandoned") for k in range(1, 101)]

    assert refused_for(given(*ended, funds=10_000), 101, MAIL) is None


def test_a_slow_boot_counts_beyond_what_is_usual() -> None:
    slow = [boot(240 * k, 180, "slow") for k in range(1, 5)]

    assert refused_for(given(*slow[:3], funds=10_000), 800) is None
    assert refused_for(given(*slow, funds=10_000), 1_000) == 240 + 3_600 - 1_000


def test_what_is_too_much_is_told_before_what_can_be_paid() -> None:
    wallet = given(boot(1), boot(2), boot(3))

    with pytest.raises(TooManyFailedStarts):
        start(wallet, 4)
    with pytest.raises(InsufficientBalance):
        start(wallet, 4_000)


def test_boots_are_forgotten_after_an_hour() -> None:
    wallet = given(*(boot(k) for k in range(1, 50)))

    assert len(after(wallet, boot(49 + HOUR // seconds(1))).boots) == 1


def test_a_usual_boot_is_not_recorded() -> None:
    wallet = given(admitted())

    assert end_boot(wallet, WEB, 1, at(0), at(30), "slow") == ()
    assert end_boot(wallet, WEB, 1, at(5), at(5), "abandoned") == ()
    assert end_boot(wallet, WEB, 1, at(0), at(31), "slow") == (BootEnded(WEB, 1, at(0), at(31), "slow"),)


@pytest.mark.parametrize(
    "before",
    [
        running(),
        (admitted(), VpsReleased(WEB, 1, at(9), "error")),
        (admitted(generation=2),),
        (),
    ],
    ids=["ran", "ended", "started anew", "never admitted"],
)
def test_a_boot_ends_once(before: tuple[Event, ...]) -> None:
    assert end_boot(given(*before), WEB, 1, at(0), at(180), "failed") == ()


def test_a_boot_of_a_vps_that_runs_by_now_was_no_failure() -> None:
    wallet = given(admitted(), funds=MicroUsd(10_000))
    wallet = after(wallet, *start_meter(wallet, WEB, 1, at(20), host_id=None, start_id="boot/1"))

    assert end_boot(wallet, WEB, 1, at(0), at(180), "abandoned") == ()
