"""Mutations of exec: what no guest can run is refused, by the kernel's own limits, before it is recorded."""

from tests.mutations.mutation import Mutation

_LIMITS = "domain/exec/limits.py"
_LIMITS_TEST = "tests/domain/exec/test_limits.py"
_OUTPUT = "domain/compute/output.py"
_OUTPUT_TEST = "tests/domain/compute/test_output.py"
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
        "a character at the end of the head",
        _OUTPUT,
        "head[:-missing_from] if _character_bytes(first) > missing_from else head",
        "head",
        _OUTPUT_TEST,
    ),
    Mutation("a character at the begin of the tail", _OUTPUT, "return tail[begin:]", "return tail", _OUTPUT_TEST),
    Mutation(
        "how old a job is",
        "domain/exec/job.py",
        "age_s=max(0, now - job.requested_at) / MICROSECONDS_PER_SECOND",
        "age_s=0",
        "tests/domain/exec/test_job.py",
    ),
    Mutation(
        "variables past our own shell",
        "adapters/ssh/launcher.bash",
        'set -- "${BASH_CMDS[env]}" "${environment[@]}" "LITEVPS_JOB_ID=$id" "$@"',
        'export "${environment[@]}"',
        "tests/contracts/test_guest_shell.py -k variables_reach",
    ),
    Mutation(
        "a job that may have run before the boot",
        "adapters/ssh/launcher.bash",
        "(( age_s > ${uptime%.*} ))",
        "false",
        "tests/contracts/test_guest_shell.py -k older_than_the_boot",
    ),
    Mutation(
        "user data that is no script",
        "domain/compute/admission.py",
        "return wrong_boot_script(command.user_data, command.image, cloud_config=command.cloud_config)",
        "return None",
        _SCRIPT_TEST,
    ),
)
