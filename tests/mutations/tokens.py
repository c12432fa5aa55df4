"""Mutations of access tokens: who is believed, what counts against a limit, and that it ends."""

from tests.mutations.mutation import Mutation

_WALLET = "tests/domain/wallet"
_HTTP = "tests/domain/tokens tests/api/http/test_tokens.py tests/api/http/test_token_auth.py"
_SPENDING = "tests/api/http/test_token_spending.py"
_REVOKED = "tests/properties/test_at_once.py -k revoked"
_FUNDS = "domain/wallet/funds.py"
_METERING = "domain/wallet/metering.py"
_LIMITS = "domain/wallet/limits.py"
_TOKEN = "domain/tokens/token.py"
_AUTH = "api/http/pipeline/authenticator.py"

TOKENS: tuple[Mutation, ...] = (
    Mutation(
        "hours of a token's VPSs that are on",
        _FUNDS,
        "*(meter.plan_id for meter in wallet.meters_on() if meter.token_id == token_id)]",
        "*()]",
        _WALLET,
    ),
    Mutation("hours of other tokens' VPSs", _FUNDS, " if meter.token_id == token_id)]", ")]", _WALLET),
    Mutation(
        "a token revoked meanwhile switches nothing on",
        _FUNDS,
        "    if limit is None or limit.expired(now):\n        raise Unauthorized",
        "    if limit is None:\n        return",
        _REVOKED,
    ),
    Mutation(
        "a token expired meanwhile switches nothing on",
        _FUNDS,
        "    if limit is None or limit.expired(now):",
        "    if limit is None:",
        _WALLET,
    ),
    Mutation(
        "limits in the horizon",
        _METERING,
        "    limited = allowances(wallet.limits, stretches)",
        "    limited: list[Allowance] = []",
        _WALLET,
    ),
    Mutation(
        "minutes count against the limit one by one",
        _METERING,
        "        limits = counted(limits, stretch.meter.token_id, line)\n        paid[",
        "        paid[",
        _WALLET,
    ),
    Mutation(
        "the stop of what is past its limit",
        _METERING,
        "for s, why in short)",
        'for s, why in short if why == "unpaid")',
        _WALLET,
    ),
    Mutation(
        "the reason of that stop",
        "api/application/metering.py",
        "[vps_id], why, now)",
        '[vps_id], "unpaid", now)',
        _SPENDING,
    ),
    Mutation(
        "the cause of minutes that run on",
        _METERING,
        'return "limit" if meter.release_cause == "limit" else "unpaid"',
        'return "unpaid"',
        _WALLET,
    ),
    Mutation(
        "the earliest release is why nothing is charged",
        "domain/wallet/meter.py",
        "meter.released_at is not None and meter.released_at <= event.at",
        "meter.released_at is not None",
        _WALLET,
    ),
    Mutation(
        "a line is parted exactly",
        _LIMITS,
        "charge_for_minutes(line.price_hourly, line.n_from + after, line.n_from + until - 1)",
        "line.amount * (until - after) // (line.n_to - line.n_from + 1)",
        _WALLET,
    ),
    Mutation(
        "a month by itself",
        _LIMITS,
        'return TOTAL if self.window == "total" else month_of(at)',
        "return TOTAL",
        _WALLET,
    ),
    Mutation(
        "nothing is left of a month long ago", _LIMITS, "            return ZERO\n", "            pass\n", _WALLET
    ),
    Mutation("months are forgotten", _LIMITS, "if len(spent) > MONTHS_KEPT:", "if len(spent) > 10**6:", _WALLET),
    Mutation(
        "minutes from the expiry on do not count",
        _LIMITS,
        "counted = count if self.expires_at is None else",
        "counted = count if count else",
        _WALLET,
    ),
    Mutation(
        "minutes from the expiry on are not limited",
        _LIMITS,
        "return self.expires_at is not None and at >= self.expires_at",
        "return at < 0",
        _WALLET,
    ),
    Mutation("a revoked token's limit ends", "domain/wallet/wallet.py", "if token_id != event.token_id}", "}", _WALLET),
    Mutation("only its account revokes a token", _TOKEN, " or token.account_id != command.account_id", "", _HTTP),
    Mutation("so many tokens", _TOKEN, "len(wallet.limits) >= TOKENS_MAX", "len(wallet.limits) >= 10**6", _HTTP),
    Mutation("session only", _TOKEN, "        raise ForbiddenForTokens", "        return", _HTTP),
    Mutation(
        "the secret is not kept",
        _TOKEN,
        "return sha256(secret.encode()).hexdigest()",
        "return (secret.encode().hex() + sha256().hexdigest())[:96]",
        _HTTP,
    ),
    Mutation(
        "what a call needs of a token",
        "api/http/pipeline/authentication.py",
        "check_need(context.caller.token, operation.scope)",
        "check_need(context.caller.token, 'any')",
        _HTTP,
    ),
    Mutation(
        "tokens of a closed account",
        _AUTH,
        "            if not loaded.of(account).is_open:\n",
        "            if not loaded.of(account).email:\n",
        _HTTP,
    ),
    Mutation(
        "a quota a token",
        _AUTH,
        ' if self.token_id is None else ("token", str(self.token_id))',
        "",
        _HTTP,
    ),
    Mutation(
        "whose VPS a token's is",
        "api/application/vps.py",
        "            egress=specification.egress,\n            token_id=self.caller.token_id,\n",
        "            egress=specification.egress,\n",
        f"{_HTTP} {_SPENDING}",
    ),
    Mutation("who starts a VPS", "api/application/vps.py", "        asked_by=caller.token_id,\n", "", _SPENDING),
    Mutation("who runs a command", "api/application/exec.py", "        token_id=caller.token_id,\n", "", _SPENDING),
    Mutation(
        "who acts", "api/application/caller.py", ' if self.token is None else Actor("token", self.token.id)', "", _HTTP
    ),
)
