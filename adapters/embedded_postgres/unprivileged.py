"""The unprivileged user that PostgreSQL runs as, since it refuses to be root."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

USER_NAME = "litevps"
COMMAND_TIMEOUT_S = 120
_CLEAN_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class FolderUnreachable(Exception):
    """A folder lies under one that the unprivileged user may not enter."""


class CommandFailed(Exception):
    """A program of PostgreSQL ended badly; the message carries what it printed."""


class RunAs(msgspec.Struct, frozen=True):
    """Who runs the programs; None: whoever runs us."""

    user: int | None = None
    group: int | None = None

    def own(self, path: Path) -> None:
        """Give one file or folder of ours to this user."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)

    def run(self, command: Sequence[str | Path]) -> str:
        """Run a program to its end and return its output; raises CommandFailed."""
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_TIMEOUT_S,
            cwd="/",
            env=clean_environment(),
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
            check=False,
        )
        output = done.stdout.decode(errors="replace").strip()
        if done.returncode != 0:
            raise CommandFailed(f"{Path(command[0]).name} ended with {done.returncode}: {output}")
        return output

    def spawn(self, command: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, so that the terminal's Ctrl-C does not reach it."""
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=clean_environment(),
                start_new_session=True,
                user=self.user,
                group=self.group,
                extra_groups=None if self.user is None else [],
            )

    def can_reach(self, path: Path) -> bool:
        """Return whether this user may enter the folder, or run the file, at ``path``."""
        try:
            self.run(["/usr/bin/test", "-x", path])
        except CommandFailed:
            return False
        return True


def clean_environment() -> Mapping[str, str]:
    """Return an environment that holds none of the caller's PG… variables, locale or secrets."""
    return {"PATH": _CLEAN_PATH, "LC_ALL": "C", "TZ": "UTC"}


def unprivileged() -> RunAs:
    """Return the user to run as: ourselves, or as root a system user of our own, made if it is missing."""
    if os.geteuid() != 0:
        return RunAs()
    try:
        entry = pwd.getpwnam(USER_NAME)
    except KeyError:
        _make_user()
        entry = pwd.getpwnam(USER_NAME)
    assert entry.pw_uid != 0, f"the user {USER_NAME} must not be root"
    return RunAs(user=entry.pw_uid, group=entry.pw_gid)


def require_reachable(folder: Path, runner: RunAs) -> None:
    """Raise FolderUnreachable, naming the folder in the way, unless the user may enter ``folder``."""
    if runner.can_reach(folder):
        return
    in_the_way = next(parent for parent in (*reversed(folder.parents), folder) if not runner.can_reach(parent))
    raise FolderUnreachable(
        f"PostgreSQL runs as the user {USER_NAME}, who may not enter {in_the_way}, so {folder} cannot be its "
        "folder. Choose a home elsewhere, such as /var/lib/litevps; no permission outside it is ever changed."
    )


def _make_user() -> None:
    useradd = shutil.which("useradd", path=_CLEAN_PATH)
    assert useradd is not None, "useradd is missing: install the package passwd"
    try:
        RunAs().run([useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER_NAME])
    except CommandFailed:
        # Another process may have made the same user a moment earlier; otherwise the failure stands.
        pwd.getpwnam(USER_NAME)
