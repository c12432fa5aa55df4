"""Mutations of what keeps strangers from holding up, filling or misleading the service over HTTP."""

from tests.mutations.mutation import Mutation

_READING = "tests/api/http/test_reading.py"
_CLIENTS = "tests/api/http/test_clients.py"
_BOUNDS = "tests/api/http/test_wire_bounds.py"
_WRONG = "tests/api/http/test_wrong_credentials.py"

WIRE: tuple[Mutation, ...] = (
    Mutation("strings of a body bounded", "api/http/pipeline/bodies.py", "> STRINGS_MAX:", "> 10**9:", _READING),
    Mutation(
        "escaped quotes end no string",
        "api/http/pipeline/bodies.py",
        "quotes -= body.replace",
        "quotes -= 0 * body.replace",
        _READING,
    ),
    Mutation(
        "bodies are UTF-8 throughout", "api/http/pipeline/bodies.py", "        body.decode()  #", "        #", _READING
    ),
    Mutation(
        "numbers of a query are digits",
        "api/http/pipeline/bodies.py",
        "if name in _whole_numbers(kind) and not (value.isascii() and value.isdigit()):",
        "if name in _whole_numbers(kind) and not value:",
        _READING,
    ),
    Mutation(
        "the server's own scope is left alone",
        "api/http/pipeline/edge.py",
        'scope = {**scope, "method": routed,',
        'scope |= {"method": routed,',
        "tests/api/http/test_wire.py",
    ),
    Mutation(
        "IPv4 written as IPv6",
        "api/http/pipeline/clients.py",
        'return getattr(address, "ipv4_mapped", None) or address',
        "return address",
        _CLIENTS,
    ),
    Mutation(
        "every line of the hops",
        "api/http/pipeline/clients.py",
        "for line in forwarded for hop",
        "for line in list(forwarded)[-1:] for hop",
        _CLIENTS,
    ),
    Mutation(
        "only a proxy is believed",
        "api/http/pipeline/clients.py",
        "before = parse_address(hop) if is_proxy(address, proxies) else None",
        "before = parse_address(hop)",
        _CLIENTS,
    ),
    Mutation(
        "quotas count clients",
        "api/http/pipeline/authentication.py",
        "rate_limits.count(self._runtime, quota, context.client.network)",
        "rate_limits.count(self._runtime, quota, context.client.address)",
        _CLIENTS,
    ),
    Mutation(
        "bytes of a head are counted as they come",
        "api/http/pipeline/protocol.py",
        "self._beside += len(piece)",
        "self._beside += 0",
        _BOUNDS,
    ),
    Mutation(
        "headers are counted",
        "api/http/pipeline/protocol.py",
        "if len(self.headers) >= HEADERS_MAX:",
        "if len(self.headers) >= 10**9:",
        _BOUNDS,
    ),
    Mutation(
        "requests that wait are counted",
        "api/http/pipeline/protocol.py",
        "if len(self.pipeline) >= PIPELINED_MAX:",
        "if len(self.pipeline) >= 10**9:",
        _BOUNDS,
    ),
    Mutation(
        "an upgrade ends the connection",
        "api/http/pipeline/protocol.py",
        "if self.parser.should_upgrade():",
        "if False:",
        _BOUNDS,
    ),
    Mutation(
        "connections are counted",
        "api/http/pipeline/connections.py",
        "if self._in_all >= self._limits.in_all:",
        "if self._in_all >= 10**9:",
        _BOUNDS,
    ),
    Mutation(
        "connections of a client are counted",
        "api/http/pipeline/connections.py",
        "self._of[client] >= self._limits.of_client:",
        "self._of[client] >= 10**9:",
        _BOUNDS,
    ),
    Mutation(
        "a proxy's connections are no client's",
        "api/http/pipeline/connections.py",
        "if address is None or is_proxy(address, self._limits.proxies):",
        "if address is None:",
        _BOUNDS,
    ),
    Mutation(
        "who takes no answer is let go",
        "api/http/pipeline/protocol.py",
        "if self.transport.get_write_buffer_size() >= before:",
        "if self.transport.get_write_buffer_size() > 10**9:",
        _BOUNDS,
    ),
    Mutation(
        "wrong credentials are counted",
        "api/http/pipeline/authentication.py",
        "            await self._authenticator.count_wrong(context)\n",
        "",
        _WRONG,
    ),
    Mutation(
        "too many wrong ones are remembered",
        "api/http/pipeline/wrong_credentials.py",
        "        self._remember(client, tally)\n",
        "",
        _WRONG,
    ),
    Mutation(
        "what may be made up is looked up seldom",
        "api/http/pipeline/authenticator.py",
        "if now_s < self._looked_up_s + LOOK_UP_EVERY_S:",
        "if False:",
        _WRONG,
    ),
    Mutation(
        "a mark shows a token to be ours",
        "adapters/token_secrets.py",
        "return hmac.compare_digest(mark, body[_SECRET_CHARACTERS:].encode())",
        "return True",
        _WRONG,
    ),
    Mutation(
        "a cursor is taken whole",
        "api/http/pages.py",
        "if not re.fullmatch(_CURSOR, page.cursor):",
        'if not re.search(f"^{_CURSOR}$", page.cursor):',
        "tests/api/http/test_patterns.py",
    ),
    Mutation(
        "what has ended is remembered",
        "api/http/pipeline/authenticator.py",
        "        self._ended[name] = None\n",
        "        self._ended.clear()\n",
        _WRONG,
    ),
    Mutation(
        "a guest has a few connections with the resolver of lists",
        "adapters/host_network/resolver.py",
        "self._connected[source] >= CONNECTIONS_OF_ONE_MAX or ",
        "",
        "tests/adapters/host_network/test_resolver.py",
    ),
    Mutation(
        "metrics of all guests take the operator's token",
        "api/http/service/controllers.py",
        'if not hmac.compare_digest(shown, b"Bearer " + expected.encode()):',
        "if False:",
        "tests/api/http/test_vps_metrics.py",
    ),
    Mutation(
        "metrics of a VPS are its owner's",
        "api/application/guest_metrics.py",
        "    vpss.owned((await runtime.aggregates.load(ref)).of(ref), caller.account_id)\n",
        "",
        "tests/api/http/test_vps_metrics.py",
    ),
)
