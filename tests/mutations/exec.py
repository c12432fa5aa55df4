"""Mutations of exec: what no guest can run is refused, by the kernel's own limits, before it is recorded."""

from tests.mutations.mutation import Mutation

_LIMITS = "domain/exec/limits.py"
_LIMITS_TEST = "tests/domain/exec/test_limits.py"
_SCRIPT = "domain/compute/boot_script.py"
_SCRIPT_TEST = "tests/domain/compute/test_boot_script.py"

EXEC: tuple[Mutation, ...] = (
    Mutation(
        "what cannot be run is refused before it is recorded",
        "domain/exec/job.py",
        "    if fields := wrong_fields(command, timeout_s_max):\n        raise Invalid(fields=fields)\n",
        "",
        f"{_LIMITS_TEST} tests/api/http/test_exec.py",
    ),
    Mutation("a string of execve", _LIMITS, "STRING_BYTES_MAX = 131_071", "STRING_BYTES_MAX = 131_072", _LIMITS_TEST),
    Mutation("bytes, not characters", _LIMITS, "    size = len(text.encode())", "    size = len(text)", _LIMITS_TEST),
    Mutation(
        "all strings of execve",
        _LIMITS,
        "    if command_bytes + strings_bytes > STRINGS_BYTES_MAX:",
        "    if False:",
        _LIMITS_TEST,
    ),
    Mutation("a whole name", _LIMITS, "if not _VARIABLE.fullmatch(name)", "if not _VARIABLE.match(name)", _LIMITS_TEST),
    Mutation("a whole user", _LIMITS, "if _USER.fullmatch(user)", "if _USER.match(user)", _LIMITS_TEST),
    Mutation("line ends of a script", _SCRIPT, 'if "\\r\\n" in text:', "if False:", _SCRIPT_TEST),
    Mutation(
        "user data that is no script",
        "domain/compute/admission.py",
        "None if command.user_data is None else wrong_boot_script(command.user_data, command.image)",
        "None",
        _SCRIPT_TEST,
    ),
)
