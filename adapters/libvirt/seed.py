"""Writes a guest's seed: the NoCloud volume from which it learns on first boot who it is."""

import json
import subprocess
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from domain.compute.ports import GuestSpec, HypervisorUnavailable

_VOLUME_LABEL = "cidata"
_TIMEOUT_S = 20.0


def write_seed(spec: GuestSpec, target: Path) -> None:
    """Write the seed of ``spec`` as an ISO 9660 image.

    Beside NoCloud's ``meta-data`` and ``user-data`` there are two plain files, so that the first boot of guests of
    our own images needs no YAML: ``authorized_keys`` and, where it is told, ``ssh_host_ed25519_key``. For others,
    cloud-init reads the same in ``vendor-data``.
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
    files["vendor-data"] = f"#cloud-config\n{json.dumps(_cloud_config(spec))}\n"  # JSON is YAML, and quotes for us.
    return files


def _cloud_config(spec: GuestSpec) -> dict[str, object]:
    """Return what has cloud-init let in exactly who may, by the host key that was made here (cc_ssh)."""
    config: dict[str, object] = {
        "disable_root": False,
        "ssh_pwauth": False,
        "ssh_authorized_keys": [key.strip() for key in spec.authorized_keys],
        "ssh_deletekeys": True,
        "ssh_genkeytypes": ["ed25519"],
    }
    if spec.host_key_private:
        config["ssh_keys"] = {
            "ed25519_private": spec.host_key_private.rstrip("\n") + "\n",
            "ed25519_public": public_half(spec.host_key_private),
        }
    return config


def public_half(private: str) -> str:
    """Return the public key of an OpenSSH private key."""
    key = load_ssh_private_key(private.encode(), password=None)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
