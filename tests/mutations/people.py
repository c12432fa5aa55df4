"""Mutations of passwords, of who may guess at them, and of mailed codes."""

from tests.mutations.mutation import Mutation

_LOGINS = "domain/accounts/logins.py"
_SHOWN = "api/http/passwords.py"
_GUESSING = "tests/api/http/test_password_guessing.py"

PEOPLE: tuple[Mutation, ...] = (
    Mutation(
        "passwords: counted before they are looked at",
        _LOGINS,
        "            return Tries(failures + 1, event.at,",
        "            return Tries(failures, event.at,",
        "tests/domain/accounts/test_logins.py",
    ),
    Mutation(
        "passwords: the wait",
        _LOGINS,
        "    if waits:\n        check_wait(tries, now)\n",
        "",
        "tests/domain/accounts/test_logins.py",
    ),
    Mutation(
        "passwords: the wait is of a network",
        _SHOWN,
        'f"{subject}:{call.arrival.client}"',
        'f"{subject}"',
        f"{_GUESSING} -k stranger",
    ),
    Mutation(
        "passwords: the wait is of an account",
        _SHOWN,
        'f"{subject}:{call.arrival.client}"',
        "network",
        "tests/api/http/test_accounts.py tests/api/http/test_closing.py " + _GUESSING,
    ),
    Mutation(
        "passwords: one /64 is one network",
        "domain/accounts/networks.py",
        "IPV6_PREFIX_BITS = 64",
        "IPV6_PREFIX_BITS = 128",
        "tests/domain/accounts/test_networks.py",
    ),
    Mutation(
        "passwords: guesses from everywhere are bounded",
        _SHOWN,
        "        if tally.count > logins.FROM_UNKNOWN_NETWORKS.tries:",
        "        if tally.count < 0:",
        f"{_GUESSING} -k everywhere",
    ),
    Mutation(
        "passwords: where the owner came from is exempt",
        _SHOWN,
        "        if logins.is_known(outcome.sight.of(self._view), outcome.at):\n            return\n",
        "",
        f"{_GUESSING} -k came_from",
    ),
    Mutation(
        "passwords: a network is known by the right password only",
        _LOGINS,
        "            return Tries(failures + 1, event.at, still_open + 1, tries.let_in_at)",
        "            return Tries(failures + 1, event.at, still_open + 1, event.at)",
        "tests/domain/accounts/test_logins.py",
    ),
    Mutation(
        "passwords: a network is forgotten",
        _LOGINS,
        "tries.let_in_at is not None and now - tries.let_in_at < KNOWN_FOR",
        "tries.let_in_at is not None",
        "tests/domain/accounts/test_logins.py",
    ),
    Mutation(
        "passwords: the CAPTCHA is asked about",
        _SHOWN,
        "if not await runtime.captcha.passed(token, self._call.arrival.address):",
        "if not token:",
        f"{_GUESSING} -k captcha",
    ),
    Mutation(
        "passwords: CAPTCHAs of a network are bounded",
        _SHOWN,
        "        await self._check_share(logins.WITH_CAPTCHA_FROM_NETWORK, str(self._view.stream))\n",
        "",
        f"{_GUESSING} -k captchas",
    ),
    Mutation(
        "passwords: CAPTCHAs of all networks are bounded",
        _SHOWN,
        "            await self._check_share(logins.WITH_CAPTCHA_FROM_UNKNOWN_NETWORKS, str(self._subject))\n",
        "            pass\n",
        f"{_GUESSING} -k captchas",
    ),
    Mutation(
        "passwords: what is not looked at does not count",
        _LOGINS,
        "max(0, tries.failures - 1), max(0, tries.open - 1)",
        "tries.failures, max(0, tries.open - 1)",
        "tests/domain/accounts/test_logins.py",
    ),
    Mutation(
        "passwords: a change is of the password that was shown",
        "domain/accounts/account.py",
        " or account.password_number != command.password_number",
        "",
        "tests/domain/accounts/test_account.py",
    ),
    Mutation(
        "passwords: in one form",
        "domain/accounts/passwords.py",
        '    return unicodedata.normalize("NFC", spaced)',
        "    return spaced",
        "tests/domain/accounts/test_passwords.py",
    ),
    Mutation(
        "passwords: other spaces",
        "domain/accounts/passwords.py",
        'unicodedata.category(character) == "Zs"',
        "not character",
        "tests/domain/accounts/test_passwords.py",
    ),
    Mutation(
        "passwords: nothing long is brought into a form",
        "domain/accounts/passwords.py",
        "    if len(password.encode()) > SPELLED_BYTES_MAX:\n        return (password,)\n",
        "",
        "tests/domain/accounts/test_passwords.py",
    ),
    Mutation(
        "passwords: hashes from before",
        _SHOWN,
        "    for spelled in older:",
        "    for spelled in older[1:]:",
        "tests/api/http/test_password_spellings.py",
    ),
    Mutation(
        "passwords: a hash of another password is not renewed",
        "domain/accounts/account.py",
        " or account.password_hash != command.outdated_hash",
        "",
        "tests/domain/accounts/test_account.py",
    ),
)
