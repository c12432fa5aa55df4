"""Fills a folder with the guest's root file system, from packages and our own files."""

import re
import shutil
import subprocess
from pathlib import Path

from adapters.guest_image.recipe import KERNEL_PACKAGE, SUITE, Recipe

_APT_FOLDER = Path("/etc/apt")
_MERGED_USR_HOOKS = Path("/usr/share/mmdebstrap/hooks/merged-usr")
_STEP_TIMEOUT_S = 600.0
_ENABLED_UNITS = ("ssh", "systemd-networkd", "systemd-resolved", "litevps-boot", "litevps-user-data")
_MASKED_UNITS = (
    # cloud-init's stages are begun by ours, after SSH.
    *("cloud-init-local.service", "cloud-init.service", "cloud-config.service", "cloud-final.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    "e2scrub_reap.service",  # Looks for volumes of LVM for 23 s.
    *("serial-getty@ttyS0.service", "getty@tty1.service"),  # Nobody can log in at the console.
)


class ImageNotBuilt(Exception):
    """An image could not be built; the message says which step failed and how."""


def unpack_packages(recipe: Recipe, target: Path, kernel_root: Path) -> None:
    """Have mmdebstrap unpack the guest's packages into ``target`` and the kernel's into ``kernel_root``."""
    options = [f"--variant={recipe.variant}", "--mode=root", "--format=directory", "--quiet"]
    options.append(f"--hook-dir={_MERGED_USR_HOOKS}")
    options += [f"--dpkgopt=path-exclude=/usr/share/{pattern}" for pattern in recipe.excluded]
    options += [f"--aptopt={line}" for line in _proxy_lines()]
    options.append("--include=" + ",".join(recipe.packages))
    options.append(f"--customize-hook={_kernel_hook(kernel_root)}")
    run_step("mmdebstrap", *options, SUITE, str(target), *map(str, _apt_sources()))
    (package,) = kernel_root.glob("*.deb")
    run_step("dpkg-deb", "-x", str(package), str(kernel_root))


def make_ours(recipe: Recipe, root: Path, kernel_root: Path) -> None:
    """Turn the unpacked packages into our guest: own files, no host keys, nobody logs in by password."""
    if recipe.full:
        # Lists of the machine that builds: a guest has its own, and no way to the machine's.
        for path in ((root / "etc/apt/sources.list"), *(root / "etc/apt/sources.list.d").iterdir()):
            path.unlink(missing_ok=True)
    for place, source in recipe.files().items():
        target = root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        target.chmod(0o755 if target.read_bytes().startswith(b"#!") else 0o644)
    if recipe.full:
        _have_systemd_start(root)
        _put_in_modules(root, kernel_root)
    else:
        _have_busybox_start(root)
    (root / "var/lib/litevps").mkdir(mode=0o755)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")
    (root / "etc/hostname").write_text("guest\n")
    shadow = root / "etc/shadow"
    shadow.write_text(re.sub(r"(?m)^root:[^:]*:", "root:*:", shadow.read_text()))
    for folder in recipe.left_out:
        _empty(root / folder)
    for pattern in recipe.left_out_files:
        for path in root.glob(pattern):
            path.unlink()


def run_step(*command: str) -> str:
    """Run one program of the build, return what it said; raise ImageNotBuilt with its last words if it fails."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_STEP_TIMEOUT_S)
    except FileNotFoundError as missing:
        raise ImageNotBuilt(f"{command[0]} is not installed") from missing
    except subprocess.TimeoutExpired as late:
        raise ImageNotBuilt(f"{command[0]} took longer than {_STEP_TIMEOUT_S:.0f} s") from late
    except subprocess.CalledProcessError as failed:
        last_words = "\n".join(str(failed.stderr).strip().splitlines()[-20:])
        raise ImageNotBuilt(f"{command[0]} ended with {failed.returncode}:\n{last_words}") from failed
    return done.stdout


def _have_busybox_start(root: Path) -> None:
    for name in ("init", "reboot", "poweroff", "halt"):
        command = root / "usr/sbin" / name
        command.unlink(missing_ok=True)
        command.symlink_to("/bin/busybox")


def _have_systemd_start(root: Path) -> None:
    run_step("chroot", str(root), "systemctl", "enable", *_ENABLED_UNITS)
    run_step("chroot", str(root), "systemctl", "mask", *_MASKED_UNITS)
    cloud_config = root / "etc/cloud/cloud.cfg"
    # Its user "debian", whom nobody asked for; an empty list of users would be one that cloud-init warns of.
    without_users, found = re.subn(r"(?m)^users:\n\s*- default\n", "", cloud_config.read_text())
    if not found:
        raise ImageNotBuilt(f"{cloud_config.relative_to(root)} of cloud-init is not as it is known here")
    cloud_config.write_text(without_users)
    resolver = root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.symlink_to("/run/systemd/resolve/stub-resolv.conf")


def _put_in_modules(root: Path, kernel_root: Path) -> None:
    """Put in every module of the kernel, which the host hands over itself and no package of the guest updates."""
    (modules,) = (kernel_root / "lib/modules").iterdir()
    target = root / "usr/lib/modules" / modules.name
    shutil.copytree(modules, target, symlinks=True)
    for dangling in ("build", "source"):
        (target / dangling).unlink(missing_ok=True)
    run_step("chroot", str(root), "depmod", modules.name)


def _kernel_hook(kernel_root: Path) -> str:
    """Return shell that downloads the kernel by the guest's own package lists, without installing it."""
    depends = f"apt-cache depends {KERNEL_PACKAGE} | sed -n 's/^ *Depends: *\\(linux-image-\\)/\\1/p'"
    return f'export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; cd "{kernel_root}" && apt-get download $({depends})'


def _apt_sources() -> list[Path]:
    """Return the machine's own lists of package sources that name the suite."""
    lists = [_APT_FOLDER / "sources.list", *sorted((_APT_FOLDER / "sources.list.d").glob("*"))]
    suite = re.compile(rf"(?m)^(?!\s*#).*\s{SUITE}(-[a-z-]+)?(\s|$)")
    found = [
        path for path in lists
        if path.suffix in {".list", ".sources"} and path.is_file() and suite.search(path.read_text())
    ]  # fmt: skip
    if not found:
        raise ImageNotBuilt(f"no list in {_APT_FOLDER} names Debian {SUITE}, which the guest is made of")
    return found


def _proxy_lines() -> list[str]:
    """Return the machine's own proxy settings, which mmdebstrap does not take over by itself."""
    settings = run_step("apt-config", "dump", "Acquire").splitlines()
    return [line for line in settings if "::proxy" in line.lower() and '""' not in line]


def _empty(folder: Path) -> None:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
