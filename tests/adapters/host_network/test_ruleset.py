"""What the filter is written with."""

import re
from pathlib import Path

from adapters.host_network import ruleset
from adapters.host_network.resolver import LET_IN_MAX
from api.bootstrap.hosts import SSH_PORT_FROM, SSH_PORT_TO


def test_whatever_some_guests_ask_for_there_is_room_for_the_names_of_all_others() -> None:
    text = (Path(ruleset.__file__).parent / "filter.nft").read_text()
    found = re.search(r"set names \{[^}]*size (\d+);", text)

    assert found is not None
    assert int(found[1]) >= LET_IN_MAX * (SSH_PORT_TO - SSH_PORT_FROM + 1)
