"""Whoever does not want to pay gets little for nothing, and is charged no more than is due.

The law (docs/explanation/ledger.md): for every VPS, the seconds that its guest was on, less 60 for each paid minute,
are at most ``FREE_PER_START_S`` a start, and of those that it ran at most ``RUNS_FREE_S``. What starts earn in which
nothing is paid is bounded in any hour, for a VPS and for an account. While the service is away nothing is seen, so what
it is away for comes on top.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
import structlog
from hypothesis import event, given, settings, target
from hypothesis import strategies as st

from tests.properties.free_riding import BOOT_S, FREE_PER_START_S, HOUR_S, RUNS_FREE_S, ride
from tests.properties.rides import Outcome, Ride
from tests.properties.schemes import Act, Image, Move, Scheme

LONG = "LITEVPS_LONG" in os.environ
STARTS_OF_VPS_MAX = 3
STARTS_OF_ACCOUNT_MAX = 10
"""Starts that guests may let fail in an hour, by default."""
EXAMPLES = settings().max_examples if LONG else 25


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def expect_law(outcome: Outcome) -> None:
    away_s, at_once = outcome.outages_s, outcome.at_once
    for one in outcome.rides:
        told = f"{one.on_s()} s, of which it ran {one.ran_s()}, for {len(one.paid)} minutes at {len(one.starts)} starts"
        assert one.free_s() <= FREE_PER_START_S * len(one.starts) + away_s, told
        assert one.is_short or one.ran_s() - 60 * len(one.paid) <= RUNS_FREE_S * len(one.starts) + away_s, told
        assert is_little(one.earned_idly(), STARTS_OF_VPS_MAX, 1, away_s), "who never pays is soon refused"
        expect_no_more_than_is_due(one)
    idle = [earned for one in outcome.rides for earned in one.earned_idly()]
    assert is_little(idle, STARTS_OF_ACCOUNT_MAX, at_once, away_s * at_once), "whichever VPS it is"


def is_little(idle: list[tuple[float, float]], starts_max: int, at_once: int, outages_s: float) -> bool:
    """Return whether starts that paid nothing earned no more in any hour than the failed ones that are allowed.

    Those that were under way when the bound was reached go on: ``at_once`` of them.
    """
    bound = starts_max * BOOT_S + at_once * FREE_PER_START_S + outages_s
    return all(sum(s for at, s in idle if since <= at < since + HOUR_S) <= bound for since, _ in idle)


def expect_no_more_than_is_due(one: Ride) -> None:
    """Paid minutes begin while it runs, and a minute apart: so no run pays more than its length, rounded up."""
    paid = sorted(one.paid)
    assert all(later - earlier >= 60 - 1e-4 for earlier, later in pairwise(paid))
    for at in paid:
        assert any(on.is_at(at) for on in one.on), "what is charged was on"
        login = max(login for login in one.logins if login <= at + 1e-4)
        assert not any(login < end < at - 1e-4 for end in one.ends_asked), "nothing is charged past a stop"


CREATE, UP = Move("create"), Move("nothing", "login")


def again(*moves: Move, times: int = 8) -> list[Move]:
    return [CREATE, UP, *list(moves) * times]


SCHEMES = {
    "powers off just after each minute began, and is stopped and started": Scheme(
        [again(Move("power_off", "minute", 1), Move("stop", after_s=0.5), Move("start", "off"), UP)],
        observe_phase_s=7,
    ),
    "powers off just before each observation": Scheme(
        [again(Move("power_off", "observation", -0.1), Move("stop"), Move("start", "off"), UP)], observe_phase_s=4
    ),
    "boots as long as nobody counts, and powers off just before it is seen": Scheme(
        [
            [
                Move("create", "observation", -8.8),
                UP,
                *[Move("power_off", "minute", 18.7), Move("stop"), Move("start", "observation", -8.8), UP] * 8,
            ]
        ],
        image=Image(sshd_after_s=29),
    ),
    "kills its sshd after the first login": Scheme(
        [[CREATE, UP, Move("kill_sshd"), Move("nothing", after_s=300), Move("restart"), Move("nothing", after_s=400)]]
    ),
    "never answers, and starts again": Scheme(
        [[CREATE, *[Move("start", "off", 1)] * 8]], image=Image(sshd_after_s=None)
    ),
    "never answers again, and is stopped before the service gives up": Scheme(
        [[CREATE, UP, Move("stop"), *[Move("start", "off", 1), Move("stop", "boot deadline", -2)] * 8]],
        image=Image(sshd_after_s=179),
    ),
    "answers once, then never, and is stopped before the service gives up": Scheme(
        [[CREATE, Move("nothing", "off", 1), *[Move("start", "off", 1), Move("stop", "boot deadline", -2)] * 8]],
        image=Image(sshd_after_s=None),
    ),
    "never answers, and is deleted and made anew": Scheme(
        [[CREATE, Move("delete", "boot deadline", -2)] * 16], image=Image(sshd_after_s=None)
    ),
    "answers as late as it may, and is off at once": Scheme(
        [again(Move("power_off", after_s=0.5), Move("stop"), Move("start", "off"), UP)],
        image=Image(sshd_after_s=178),
    ),
    "reboots from inside each 59 s": Scheme([again(Move("reboot", after_s=59), times=20)], image=Image(30)),
    "is restarted in a loop": Scheme([again(Move("restart", after_s=31), times=15)], image=Image(sshd_after_s=30)),
    "is stopped and started within the paid minute": Scheme(
        [again(Move("stop", after_s=3), Move("start", "off"), UP, times=20)], image=Image(sshd_after_s=1)
    ),
    "ignores every shutdown": Scheme(
        [again(Move("stop", "minute", -0.1), Move("start", "off"), UP)], image=Image(ignores_shutdown=True)
    ),
    "is stopped as soon as it boots, again and again": Scheme(
        [[CREATE, UP, Move("stop"), *[Move("start", "off"), Move("stop", after_s=0.5)] * 60]], image=Image(3)
    ),
    "is made and deleted in a loop": Scheme([[CREATE, UP, Move("delete", after_s=1)] * 12]),
    "powers off while the service is away": Scheme(
        [[CREATE, UP, Move("power_off", after_s=590), Move("start", "off", 30), UP]], outages=[(30, 600)]
    ),
    "spends what it has, and goes on": Scheme(
        [
            [CREATE, UP, Move("nothing", after_s=3_700), Move("nothing", after_s=600)],
            [CREATE, UP, Move("nothing", after_s=3_700), Move("nothing", after_s=600)],
        ],
        image=Image(ignores_shutdown=True),
        funds=8_500,
    ),
    "restores its disk as soon as it is up": Scheme(
        [again(Move("snapshot"), Move("restore", after_s=31), times=20)], image=Image(sshd_after_s=29)
    ),
    "restores its disk just as each minute begins": Scheme(
        [again(Move("snapshot"), Move("restore", "minute", 0.1), Move("nothing", after_s=10), times=10)],
        observe_phase_s=7,
    ),
    "restores its disk, boots slowly and powers off once it is up": Scheme(
        [again(Move("snapshot", after_s=1), Move("restore"), Move("nothing", after_s=175), Move("power_off"), times=6)],
        image=Image(sshd_after_s=170),
    ),
    "restores its disk and is stopped while it boots": Scheme(
        [again(Move("snapshot", after_s=1), Move("restore"), Move("stop", after_s=170), Move("start", "off"), UP)],
        image=Image(sshd_after_s=175),
    ),
    "is up once, then never: restored and started in turns": Scheme(
        [
            [
                *(CREATE, UP, Move("snapshot"), Move("restore", after_s=5), Move("nothing", after_s=170), Move("stop")),
                *[Move("restore", "off"), Move("start", after_s=5), Move("stop", "boot deadline", -2)] * 8,
            ]
        ],
        image=Image(sshd_after_s=179),
    ),
    "boots several at once and lets none answer": Scheme(
        [[CREATE, *[Move("start", "off", 1)] * 5]] * 4, image=Image(sshd_after_s=None)
    ),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_earns_little(name: str) -> None:
    expect_law(ride(SCHEMES[name]))


NEAR_S = st.one_of(
    st.sampled_from([0.0, -0.1, 0.1, 1.0, -1.0, 19.9, 20.1, 59.9, 60.0, 60.1]), st.floats(-25, 65, width=16)
)
POWER: tuple[Act, ...] = ("start", "stop", "power_off")
OTHERS: tuple[Act, ...] = (
    "create",
    "delete",
    "snapshot",
    "restore",
    "restart",
    "reboot",
    "kill_sshd",
    "run_sshd",
    "halt",
    "nothing",
)
ACTS = st.one_of(st.sampled_from(POWER), st.sampled_from(OTHERS))
MOVES = st.builds(
    Move,
    ACTS,
    st.sampled_from(
        ["now", "now", "minute", "minute", "observation", "tick", "login", "login", "off", "boot deadline"]
    ),
    NEAR_S,
    st.integers(1, 2),
)
IMAGES = st.builds(
    Image,
    st.one_of(st.sampled_from([1.0, 0.0, 30.0, 179.0, 194.0, None]), st.floats(0, 200, width=16)),
    st.booleans(),
)
LIVES = st.lists(MOVES, min_size=1, max_size=6).map(lambda moves: [CREATE, *moves, Move("delete")])
PLAYS = st.lists(LIVES, min_size=1, max_size=4).map(lambda lives: [move for life in lives for move in life])
SCHEMES_OF_ALL_KINDS = st.builds(
    Scheme,
    st.lists(PLAYS, min_size=1, max_size=4),
    IMAGES,
    st.one_of(st.just([]), st.just([]), st.tuples(st.floats(1, 300), st.floats(1, 400)).map(lambda one: [one])),
    st.sampled_from([1_000_000, 4_200, 8_470, 12_600, 4_900]),
    st.floats(0, 20, width=16),
    st.floats(0, 10, width=16),
)
LOOPS = st.builds(
    lambda moves, times, image, phase_s: Scheme([[CREATE, UP, *moves * times]], image, observe_phase_s=phase_s),
    st.lists(MOVES, min_size=2, max_size=4),
    st.integers(2, 6),
    IMAGES,
    st.floats(0, 20, width=16),
)

tried: Counter[str] = Counter()
"""How many schemes and lives of VPSs were tried, and the most that was had for nothing at a start, in ms."""


def tried_out(scheme: Scheme) -> Outcome:
    outcome = ride(scheme)
    tried["schemes"] += 1
    tried["lives"] += len(outcome.rides)
    tried["starts"] += sum(len(one.starts) for one in outcome.rides)
    tried["most free ms a start"] = max(tried["most free ms a start"], round(1e3 * outcome.free_per_start()))
    event("paid" if any(one.paid for one in outcome.rides) else "nothing paid")
    return outcome


@settings(max_examples=EXAMPLES)
@given(SCHEMES_OF_ALL_KINDS)
def test_whatever_a_customer_does_earns_little(scheme: Scheme) -> None:
    expect_law(tried_out(scheme))


@settings(max_examples=EXAMPLES)
@given(LOOPS)
def test_a_search_for_what_earns_most_finds_little(scheme: Scheme) -> None:
    outcome = tried_out(scheme)
    paid = sum(len(one.paid) for one in outcome.rides)
    target(sum(one.free_s() for one in outcome.rides) / (1 + paid), label="free seconds for each paid minute")
    expect_law(outcome)


@pytest.fixture(autouse=True, scope="module")
def _figures() -> Iterator[None]:
    yield
    if LONG:
        print(dict(tried))
