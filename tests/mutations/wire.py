"""Mutations of what keeps strangers from holding up, filling or misleading the service over HTTP."""

from tests.mutations.mutation import Mutation

_READING = "tests/api/http/test_reading.py"
_CLIENTS = "tests/api/http/test_clients.py"

WIRE: tuple[Mutation, ...] = (
    Mutation("strings of a body bounded", "api/http/bodies.py", "> STRINGS_MAX:", "> 10**9:", _READING),
    Mutation(
        "escaped quotes end no string",
        "api/http/bodies.py",
        "quotes -= body.replace",
        "quotes -= 0 * body.replace",
        _READING,
    ),
    Mutation("bodies are UTF-8 throughout", "api/http/bodies.py", "        body.decode()  #", "        #", _READING),
    Mutation(
        "numbers of a query are digits",
        "api/http/bodies.py",
        "if name in _whole_numbers(kind) and not (value.isascii() and value.isdigit()):",
        "if name in _whole_numbers(kind) and not value:",
        _READING,
    ),
    Mutation(
        "the server's own scope is left alone",
        "api/http/app.py",
        'scope = {**scope, "method": routed,',
        'scope |= {"method": routed,',
        "tests/api/http/test_wire.py",
    ),
    Mutation(
        "IPv4 written as IPv6",
        "api/http/clients.py",
        'return getattr(address, "ipv4_mapped", None) or address',
        "return address",
        _CLIENTS,
    ),
    Mutation(
        "every line of the hops",
        "api/http/clients.py",
        "for line in forwarded for hop",
        "for line in list(forwarded)[-1:] for hop",
        _CLIENTS,
    ),
    Mutation(
        "only a proxy is believed",
        "api/http/clients.py",
        "before = parse_address(hop) if is_proxy(address, proxies) else None",
        "before = parse_address(hop)",
        _CLIENTS,
    ),
    Mutation(
        "quotas count clients",
        "api/http/answering.py",
        "await self._count(endpoint.quota, call.arrival.client, told)",
        "await self._count(endpoint.quota, call.arrival.address, told)",
        _CLIENTS,
    ),
)
