"""A process ends at the fail point that it was started with, and at no other."""

import os
import signal
import subprocess
import sys

REACH = (
    "import os; from api.application.fail_points import fail_point as reach; {before}; reach('create:before-append');"
    " print('alive')"
)


def reached(before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    program = REACH.format(before=before or "pass")
    return subprocess.run(
        [sys.executable, "-c", program], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_a_process_that_is_started_to_fail_is_killed_there() -> None:
    assert reached(LITEVPS_FAIL_AT="create:before-append").returncode == -signal.SIGKILL


def test_it_lives_on_at_any_other_place() -> None:
    assert reached(LITEVPS_FAIL_AT="create:after-append").stdout == "alive\n"


def test_the_variable_is_read_at_the_start_and_never_again() -> None:
    assert reached(before="os.environ['LITEVPS_FAIL_AT'] = 'create:before-append'").stdout == "alive\n"
