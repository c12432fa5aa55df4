"""What a host shows proves minutes, and differs from the ledger or not."""

from uuid import UUID

import msgspec
import pytest

from domain.compute import host as hosts
from domain.compute.events import (
    HostDiffered,
    HostLost,
    HostObserved,
    HostRebooted,
    HostRegistered,
    HostReturned,
    VpsRestarted,
)
from domain.compute.host import Host
from domain.compute.ports import GuestSeen, HostObservation
from domain.ids import HostId
from domain.time import seconds
from domain.wallet.meter import Meter
from tests.domain.compute.lives import HOST, LIVES, PLAN, UP, VPS, after, at, vps_in

REGISTERED = HostRegistered(HOST, "embedded", "127.0.0.1", 2200, 2299, None)


def seen(at_s: float, *, start_id: str = "boot/1", cpu_s: float = 1.0, generation: int = 1) -> HostObserved:
    guest = GuestSeen(VPS, generation, start_id, True, int(cpu_s * 1e9))
    return HostObserved(HOST, "boot", at(at_s), (guest,))


def host_after(*observed: HostObserved) -> Host:
    host = None
    for event in (REGISTERED, *observed):
        host = hosts.evolve(host, event)
    assert host is not None
    return host


METER = Meter(VPS, 1, PLAN, None, at(0), run_from=at(8), host_id=HOST, start_id="boot/1")


def proven_s(*observed: HostObserved) -> float:
    proof = hosts.proof_of(after(*UP), host_after(*observed))
    assert proof is not None
    assert proof == hosts.proof_of_meter(METER, host_after(*observed)), "a meter knows as much as its VPS"
    return (proof.proven_until - at(0)) / 1e6


def test_the_first_login_proves_its_instant() -> None:
    assert proven_s() == 8


def test_an_observation_of_the_same_start_proves_all_the_time_up_to_it() -> None:
    assert proven_s(seen(30), seen(3000, cpu_s=2)) == 3000


def test_an_observation_from_before_the_login_proves_nothing_more() -> None:
    assert proven_s(seen(5)) == 8


def test_two_who_look_at_once_prove_the_same_in_either_order() -> None:
    assert proven_s(seen(60, cpu_s=2), seen(30, cpu_s=1)) == 60


def test_cpu_time_that_fell_proves_nothing() -> None:
    assert proven_s(seen(30, cpu_s=5), seen(60, cpu_s=4)) == 30


def test_another_start_proves_nothing_of_this_one_and_takes_nothing_away() -> None:
    assert proven_s(seen(30), seen(60, start_id="boot/2", cpu_s=9)) == 30


def test_another_generation_proves_nothing() -> None:
    assert proven_s(seen(60, generation=2)) == 8


def test_a_meter_that_does_not_tell_its_start_proves_nothing() -> None:
    told = msgspec.structs.replace(METER, start_id=None)

    assert hosts.proof_of_meter(told, host_after(seen(30))) is None


def test_nothing_is_proven_before_the_first_login() -> None:
    booting = msgspec.structs.replace(METER, run_from=None)

    assert hosts.proof_of_meter(booting, host_after(seen(5))) is None
    assert hosts.proof_of(vps_in("launched"), host_after(seen(5))) is None


def test_an_observation_is_recorded_where_something_is_on() -> None:
    host = host_after()
    on, off = GuestSeen(VPS, 1, "boot/1", True, 5), GuestSeen(VPS, 1, "", False, 0)

    assert hosts.observe(host, HostObservation(at(9), "boot", (off,))) == ()
    assert hosts.observe(host, HostObservation(at(9), "boot", (on, off))) == (HostObserved(HOST, "boot", at(9), (on,)),)


def test_a_host_is_registered_once_and_again_when_it_changes() -> None:
    assert hosts.register(None, REGISTERED) == (REGISTERED,)
    assert hosts.register(host_after(), REGISTERED) == ()
    moved = msgspec.structs.replace(REGISTERED, ssh_host="10.0.0.1")
    assert hosts.register(host_after(), moved) == (moved,)


ON = GuestSeen(VPS, 1, "boot/1", True, 5)
OFF = GuestSeen(VPS, 1, "", False, 0)
ANOTHER = GuestSeen(VPS, 1, "boot/2", True, 5)
HALTED = GuestSeen(VPS, 1, "boot/1", False, 5)


@pytest.mark.parametrize(
    ("point", "guest", "finding"),
    [
        ("running", ON, "agrees"),
        ("running", OFF, "off"),
        ("running", None, "off"),
        ("running", ANOTHER, "lost"),
        ("running", HALTED, "off"),
        ("restarting", OFF, "off"),
        ("stopping", OFF, "agrees"),
        ("launched", None, "agrees"),
        ("stopped", OFF, "agrees"),
        ("stopped", ON, "unwanted"),
        ("stopped", HALTED, "unwanted"),
        ("failed", ON, "agrees"),
        ("in error, off", ON, "unwanted"),
        ("starting", OFF, "agrees"),
        ("deleting", ON, "agrees"),
        ("deleted", ON, "orphan"),
    ],
)
def test_host_and_ledger_are_compared(point: str, guest: GuestSeen | None, finding: str) -> None:
    assert hosts.compare(vps_in(point), guest, HOST, at(1000)) == finding


def test_a_guest_of_no_vps_that_was_ever_asked_for_is_unknown_rather_than_an_orphan() -> None:
    assert hosts.compare(None, ON, HOST, at(1000)) == "unknown"


def test_a_guest_that_cannot_be_explained_is_recorded_once() -> None:
    unexplained = HostDiffered(HOST, VPS, "orphan", "none", at(9))
    host = host_after()

    assert hosts.leave_alone(host, unexplained) == (unexplained,)
    assert hosts.leave_alone(hosts.evolve(host, unexplained) or host, unexplained) == ()


def test_a_guest_on_another_host_than_its_vps_is_a_duplicate_and_says_nothing_of_it() -> None:
    assert hosts.compare(vps_in("running"), ANOTHER, HostId(UUID(int=33)), at(1000)) == "duplicate"


def test_what_was_observed_before_the_last_change_says_nothing() -> None:
    restarted = after(*LIVES["restarting"], VpsRestarted(1, at(110)))

    assert hosts.compare(restarted, OFF, HOST, at(109)) == "agrees"
    assert hosts.compare(restarted, OFF, HOST, at(111)) == "off"


def lost_host(lost_at_s: float) -> Host:
    lost = hosts.evolve(host_after(seen(10)), HostLost(HOST, at(lost_at_s - 60), at(lost_at_s)))
    assert lost is not None
    return lost


def test_only_what_was_seen_after_a_host_was_lost_brings_it_back() -> None:
    host = lost_host(300)

    assert hosts.observe(host, HostObservation(at(299), "boot", ())) == ()
    assert hosts.observe(host, HostObservation(at(301), "boot", ())) == (HostReturned(HOST, "boot", at(301)),)


def test_another_boot_is_recorded_once_and_not_by_an_answer_that_was_long_on_its_way() -> None:
    host = host_after(seen(10))

    assert hosts.observe(host, HostObservation(at(9), "earlier", ())) == ()
    (rebooted,) = hosts.observe(host, HostObservation(at(20), "later", ()))
    assert rebooted == HostRebooted(HOST, "boot", "later", at(20))
    after_reboot = hosts.evolve(host, rebooted)
    assert after_reboot is not None
    assert hosts.observe(after_reboot, HostObservation(at(30), "later", ())) == ()


@pytest.mark.parametrize(("silent_s", "lost"), [(179, False), (180, True)])
def test_a_host_is_lost_after_so_long_a_silence_and_once(silent_s: float, lost: bool) -> None:
    host = host_after(seen(10))
    since = at(100)

    events = hosts.lose(host, since, at(100 + silent_s), seconds(180))

    assert events == ((HostLost(HOST, since, at(100 + silent_s)),) if lost else ())
    assert hosts.lose(lost_host(300), since, at(1_000), seconds(180)) == ()


def test_what_others_saw_of_a_host_meanwhile_counts() -> None:
    assert hosts.lose(host_after(seen(200)), at(100), at(300), seconds(180)) == ()
