"""Rates are told between two samples of one start, and of nothing else."""

from domain.compute.metrics import SLOTS, GuestMetrics, Rates, Sample, rates, slot_of
from tests.domain.compute.lives import HOST, VPS, at


def sample(at_s: float, *, cpu_s: float, disk: int = 0, generation: int = 1, network: int | None = None) -> Sample:
    metrics = GuestMetrics(VPS, generation, int(cpu_s * 1e9), 1024, disk, 2 * disk, network, network)
    return Sample(HOST, at(at_s), metrics)


def test_a_rate_is_what_was_used_since_the_sample_before() -> None:
    first, second = rates([sample(0, cpu_s=1), sample(10, cpu_s=6, disk=50_000, network=None)])

    assert first == Rates(at(0), 1024, None, None, None, None, None)
    assert second == Rates(at(10), 1024, 500, 5_000, 10_000, None, None)


def test_two_processors_can_use_two_whole_ones() -> None:
    assert rates([sample(0, cpu_s=0), sample(10, cpu_s=20)])[1].cpu_permille == 2_000


def test_nothing_is_said_across_a_start_or_a_gap() -> None:
    told = rates(
        [
            *(sample(0, cpu_s=50), sample(10, cpu_s=55, generation=2), sample(20, cpu_s=1, generation=2)),
            *(sample(60, cpu_s=2, generation=2), sample(70, cpu_s=3, generation=2)),
        ]
    )

    assert [one.cpu_permille for one in told] == [None, None, None, None, 100]


def test_a_sample_takes_the_place_of_the_one_an_hour_before() -> None:
    assert slot_of(at(0)) == slot_of(at(3_600)) != slot_of(at(3_590))
    assert {slot_of(at(second)) for second in range(0, 3_600, 10)} == set(range(SLOTS))
