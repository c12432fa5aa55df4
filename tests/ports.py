"""Ports of 127.0.0.1 that nothing listens on, and that no other worker of the same session is given."""

import itertools
import random
import socket

from tests.workers import WORKERS_MAX, worker_number

# Below the range (32768 and up, ip(7)) from which Linux takes a port for whoever does not name one.
_FIRST, _END = 12_000, 32_000
_EACH = (_END - _FIRST) // WORKERS_MAX
_BEGIN = random.randrange(_EACH)
_numbers = itertools.count(_BEGIN)


def free_port() -> int:
    """Return a TCP port that nothing listened on a moment ago; another at each call."""
    first = _FIRST + _EACH * (worker_number() % WORKERS_MAX)
    for number in itertools.islice(_numbers, _EACH):
        port = first + number % _EACH
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError(f"something listens on every port from {first} on")
