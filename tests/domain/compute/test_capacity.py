"""A host promises no more than it has, and each VPS holds what its state needs."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.compute import capacity
from domain.compute.capacity import EQUAL_POINTS, FOLD, NoCapacity, Reservation, Reservations, Room
from domain.compute.commands import CreateVps
from domain.compute.events import (
    CapacityReleased,
    CapacityReserved,
    HostDrained,
    HostJoined,
    HostOvercommitSet,
    HostUndrained,
)
from domain.compute.host import Host, evolve, label, overcommit
from domain.errors import Invalid
from domain.ids import HostId, VpsId
from tests.domain.compute.lives import CREATE, HOST, at
from tests.domain.compute.test_host import REGISTERED, host_after

SMALL, BIG = HostId(UUID(int=31)), HostId(UUID(int=32))


def room(
    *held: CapacityReserved | CapacityReleased | HostDrained | HostUndrained,
    host: HostId = SMALL,
    ports: int = 3,
    cpu_percent: int = 100,
    **has: Any,
) -> Room:
    host_now = msgspec.structs.replace(host_after(), host_id=host, port_from=2201, port_to=2200 + ports, **has)
    reserved = Reservations()
    for event in held:
        reserved = FOLD.evolve(reserved, event)
    return Room(host_now, reserved, cpu_percent=cpu_percent, disk_percent=100)


def vps(number: int) -> VpsId:
    return VpsId(UUID(int=number))


def wanted(number: int) -> CreateVps:
    return msgspec.structs.replace(CREATE, vps_id=vps(number))


def held(number: int, port: int | None = 2201, generation: int = 1) -> CapacityReserved:
    on = port is not None
    return CapacityReserved(SMALL, vps(number), generation, int(on), 256 * on, 5, port)


@pytest.mark.parametrize("has", [{"memory_mb": 511}, {"vcpu": 1}, {"disk_gb": 9}, {"ports": 1}])
def test_what_a_host_lacks_it_does_not_promise(has: dict[str, Any]) -> None:
    assert capacity.reserve([room(**has)], wanted(1), 1).event == held(1, 2202 if "ports" not in has else 2201)
    with pytest.raises(NoCapacity):
        capacity.reserve([room(held(1), **has)], wanted(2), 1)


def test_processors_are_promised_so_many_times_over() -> None:
    assert capacity.reserve([room(held(1), vcpu=1, cpu_percent=200)], wanted(2), 1).ssh_port
    with pytest.raises(NoCapacity):
        capacity.reserve([room(held(1), vcpu=1, cpu_percent=199)], wanted(2), 1)


def test_the_host_of_which_least_memory_is_promised_takes_a_new_vps() -> None:
    rooms = [room(held(1)), room(host=BIG)]

    assert capacity.reserve(rooms, wanted(2), 1).host.host_id == BIG
    assert capacity.reserve([rooms[0], room(host=BIG, memory_mb=1)], wanted(2), 1).host.host_id == SMALL


def half_full(host: HostId, **has: Any) -> Room:
    """Return a host of which some is promised, but with plenty of what the test does not speak of."""
    return room(held(9), host=host, **({"memory_mb": 10_000, "vcpu": 100, "disk_gb": 1_000} | has))


@pytest.mark.parametrize("scarce", [{"memory_mb": 600}, {"vcpu": 3}, {"disk_gb": 12}])
def test_a_new_vps_goes_where_the_scarcest_is_least_scarce(scarce: dict[str, int]) -> None:
    rooms = [half_full(SMALL, **scarce), half_full(BIG)]

    assert rooms[0].has_power_for(wanted(1))
    assert {capacity.reserve(rooms, wanted(number), 1).host.host_id for number in range(1, 9)} == {BIG}


def test_a_host_is_for_the_plans_that_its_label_names_and_without_one_for_all() -> None:
    def labelled(plans: str) -> Room:
        plain = room()
        return msgspec.structs.replace(plain, host=msgspec.structs.replace(plain.host, labels={"plans": plans}))

    assert capacity.reserve([labelled("big, small")], wanted(1), 1, "small").ssh_port
    assert capacity.reserve([room()], wanted(1), 1, "small").ssh_port
    with pytest.raises(NoCapacity):
        capacity.reserve([labelled("big")], wanted(1), 1, "small")


def test_nothing_new_is_placed_on_a_drained_host_and_what_is_there_is_started_again() -> None:
    drained = room(held(1, None), HostDrained(SMALL, at(1)))

    with pytest.raises(NoCapacity):
        capacity.reserve([drained], wanted(2), 1)
    assert capacity.reserve_again([drained], SMALL, wanted(1), 2, None).ssh_port
    again = room(HostDrained(SMALL, at(1)), HostUndrained(SMALL, at(2)))
    assert capacity.reserve([again], wanted(2), 1).ssh_port


def test_a_drain_is_recorded_once_and_outlives_what_else_is_recorded_of_the_host() -> None:
    (drained,) = capacity.drain(Reservations(), SMALL, at(1))
    now = FOLD.evolve(FOLD.evolve(Reservations(), drained), held(1))

    assert now.drained
    assert capacity.drain(now, SMALL, at(2)) == ()
    assert capacity.undrain(now, SMALL, at(2)) == (HostUndrained(SMALL, at(2)),)
    assert capacity.undrain(Reservations(), SMALL, at(2)) == ()


def test_hosts_are_labelled_by_whole_sets_and_one_that_is_so_is_not_recorded_again() -> None:
    (labelled,) = label(host_after(), {"zone": "a", "plans": "small"})
    host = evolve(host_after(), labelled)

    assert isinstance(host, Host)
    assert host.labels == {"plans": "small", "zone": "a"}
    assert label(host, {"zone": "a", "plans": "small"}) == ()
    with pytest.raises(Invalid):
        label(host, {"a=b": "c"})


@given(st.integers(2, 6), st.lists(st.uuids(version=4), min_size=1, max_size=60, unique=True))
def test_new_vpss_are_spread_evenly_whatever_their_ids(hosts: int, vps_ids: list[UUID]) -> None:
    rooms = [room(host=HostId(UUID(int=k)), memory_mb=256 * 60, ports=100) for k in range(hosts)]
    for vps_id in vps_ids:
        event = capacity.reserve(rooms, msgspec.structs.replace(CREATE, vps_id=VpsId(vps_id)), 1).event
        k = event.host_id.int
        rooms[k] = msgspec.structs.replace(rooms[k], reserved=FOLD.evolve(rooms[k].reserved, event))

    vpss = [len(room.reserved.by_vps) for room in rooms]
    assert max(vpss) - min(vpss) <= 60 * EQUAL_POINTS // 100 + 2


def test_what_is_off_holds_its_disk_and_what_is_removed_nothing() -> None:
    off = room(held(1), CapacityReleased(SMALL, vps(1), 1, removed=False)).reserved
    assert (off.memory_mb, off.vcpu, off.disk_gb, off.ports) == (0, 0, 5, {})
    assert off.by_vps == {vps(1): Reservation(1, 0, 0, 5, None)}

    gone = room(held(1), CapacityReleased(SMALL, vps(1), 1, removed=True)).reserved
    assert gone == Reservations()


def test_a_release_is_recorded_once() -> None:
    reserved = room(held(1)).reserved
    (released,) = capacity.release(reserved, SMALL, vps(1), removed=False)
    off = FOLD.evolve(reserved, released)

    assert capacity.release(off, SMALL, vps(1), removed=False) == ()
    assert capacity.release(Reservations(), SMALL, vps(1), removed=True) == ()
    assert capacity.release(off, SMALL, vps(1), removed=True) == (CapacityReleased(SMALL, vps(1), 1, removed=True),)


def test_a_start_needs_room_on_the_host_that_has_its_disk() -> None:
    full, empty = room(held(1, None), held(2), memory_mb=511), room(host=BIG)

    with pytest.raises(NoCapacity):
        capacity.reserve_again([full, empty], SMALL, wanted(1), 2, 2202)
    with pytest.raises(NoCapacity):
        capacity.reserve_again([empty], SMALL, wanted(1), 2, 2202)
    with pytest.raises(NoCapacity):
        capacity.reserve_again([room(held(1, None), held(2), ports=1)], SMALL, wanted(1), 2, 2201)


def test_a_start_of_what_holds_its_memory_still_takes_no_more() -> None:
    again = capacity.reserve_again([room(held(1), memory_mb=256, vcpu=1, ports=1)], SMALL, wanted(1), 2, 2201)

    assert again.event == held(1, 2201, generation=2)


def test_a_start_needs_no_disk_that_it_has() -> None:
    assert capacity.reserve_again([room(held(1, None), disk_gb=1)], SMALL, wanted(1), 2, 2201).ssh_port == 2201


@pytest.mark.parametrize(("before", "taken", "now"), [(2203, 2201, 2203), (2201, 2201, 2202), (1, 2201, 2202)])
def test_a_port_is_had_again_if_it_is_free(before: int, taken: int, now: int) -> None:
    again = capacity.reserve_again([room(held(1, None), held(3, taken))], SMALL, wanted(1), 2, before)

    assert again.ssh_port == now


def test_how_far_a_host_is_promised_over_is_its_own() -> None:
    (recorded,) = overcommit(host_after(), 800, None)
    assert recorded == HostOvercommitSet(HOST, 800, None)
    host = evolve(host_after(), recorded)
    assert isinstance(host, Host)
    assert (host.cpu_percent, host.disk_percent) == (800, None)
    assert overcommit(host, 800, None) == ()
    again = evolve(host, msgspec.structs.replace(REGISTERED, memory_mb=1))
    assert isinstance(again, Host)
    assert again.cpu_percent == 800, "a host that has changed keeps it"


@pytest.mark.parametrize(("cpu", "disk"), [(0, None), (None, 10_001)])
def test_a_host_is_not_promised_by_nothing_nor_without_end(cpu: int | None, disk: int | None) -> None:
    with pytest.raises(Invalid):
        overcommit(host_after(), cpu, disk)


def test_a_host_is_listed_once() -> None:
    assert capacity.join((), HOST) == (HostJoined(HOST),)
    assert capacity.fleet((), HostJoined(HOST)) == (HOST,)
    assert capacity.join((HOST,), HOST) == ()
    assert capacity.fleet((HOST,), HostJoined(HOST)) == (HOST,)


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["on", "off", "gone"])), max_size=60))
def test_sums_are_those_of_what_is_held_and_never_more_than_there_is(asked: list[tuple[int, str]]) -> None:
    now = room(memory_mb=700, vcpu=3, disk_gb=20)
    for number, what in asked:
        known = now.reserved.by_vps.get(vps(number))
        try:
            if what != "on":
                events = capacity.release(now.reserved, SMALL, vps(number), removed=what == "gone")
            elif known is None:
                events = (capacity.reserve([now], wanted(number), 1).event,)  # type: ignore[assignment]
            else:
                events = (capacity.reserve_again([now], SMALL, wanted(number), 2, None).event,)  # type: ignore[assignment]
        except NoCapacity:
            continue
        for event in events:
            now = msgspec.structs.replace(now, reserved=FOLD.evolve(now.reserved, event))
        kept = now.reserved.by_vps.values()
        assert now.reserved.memory_mb == sum(one.memory_mb for one in kept) <= 700
        assert now.reserved.vcpu == sum(one.vcpu for one in kept) <= 3
        assert now.reserved.disk_gb == sum(one.disk_gb for one in kept) <= 20
        assert now.reserved.ports == {one.ssh_port: id_ for id_, one in now.reserved.by_vps.items() if one.on}
