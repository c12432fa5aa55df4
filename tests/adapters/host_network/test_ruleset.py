"""What the filter is written with."""

import re
from pathlib import Path

from adapters.host_network import ruleset
from adapters.host_network.resolver import LET_IN_MAX
from adapters.host_network.services import NAMES_ASKED_MAX
from api.bootstrap.hosts import SSH_PORT_FROM, SSH_PORT_TO

FILTER = (Path(ruleset.__file__).parent / "filter.nft").read_text()
ANSWER_AWAITED_S = 10
"""By dnsmasq, for a name."""


def test_whatever_some_guests_ask_for_there_is_room_for_the_names_of_all_others() -> None:
    found = re.search(r"set names \{[^}]*size (\d+);", FILTER)

    assert found is not None
    assert int(found[1]) >= LET_IN_MAX * (SSH_PORT_TO - SSH_PORT_FROM + 1)


def test_one_guest_whose_names_nobody_answers_leaves_nine_parts_in_ten_to_the_others() -> None:
    found = re.search(r"update @name_rates \{ ip saddr limit rate over (\d+)/second", FILTER)

    assert found is not None
    assert int(found[1]) * ANSWER_AWAITED_S * 10 <= NAMES_ASKED_MAX
