"""Writes a guest's seed: the NoCloud volume from which it learns on first boot who it is."""

import subprocess
import tempfile
from pathlib import Path

from domain.compute.ports import GuestSpec, HypervisorUnavailable

_VOLUME_LABEL = "cidata"
_TIMEOUT_S = 20.0


def write_seed(spec: GuestSpec, target: Path) -> None:
    """Write the seed of ``spec`` as an ISO 9660 image.

    Beside NoCloud's ``meta-data`` and ``user-data`` there are two plain files, so that the lite guest's first
    boot needs no YAML: ``authorized_keys`` and, where it is told, ``ssh_host_ed25519_key``.
    """
    with tempfile.TemporaryDirectory(prefix=".seed-", dir=target.parent) as work:
        for name, text in _files(spec).items():
            (Path(work) / name).write_text(text)
        command = ("genisoimage", "-quiet", "-volid", _VOLUME_LABEL, "-joliet", "-rock", "-output", str(target), work)
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as failed:
            raise HypervisorUnavailable(f"the seed could not be written: {failed}") from failed


def _files(spec: GuestSpec) -> dict[str, str]:
    files = {
        "meta-data": f"instance-id: {spec.vps_id}\nlocal-hostname: {spec.hostname}\n",
        "user-data": spec.user_data or "",
        "authorized_keys": "".join(f"{key.strip()}\n" for key in spec.authorized_keys),
    }
    if spec.host_key_private:
        files["ssh_host_ed25519_key"] = spec.host_key_private.rstrip("\n") + "\n"
    return files
