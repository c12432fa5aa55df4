"""Addresses of compute hosts elsewhere, as ``LITEVPS_COMPUTE`` names them: libvirt's own, and what we add to them."""

from pathlib import PurePosixPath
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec

SSH, TLS = "qemu+ssh", "qemu+tls"
SCHEMES = (SSH, TLS)
SOCKET = "/var/run/libvirt/libvirt-sock"
FOLDER = "/var/lib/litevps"
SSH_PORT = 22
OURS = ("socket", "folder", "kvm", "ssh_user", "ssh_port")
"""Parameters that libvirt is not told."""
TLS_PARAMETERS = ("pkipath", "tls_priority")
"""Those of libvirt that are let through. Not ``no_verify``: a host that shows no good certificate is not ours."""


class BadHostUri(Exception):
    """The address of a host cannot be meant so; the text says why."""


class RemoteHostUri(msgspec.Struct, frozen=True, kw_only=True):
    """A host elsewhere. Its files and its guests are reached by SSH, its libvirtd too unless by TLS."""

    hostname: str
    user: str
    ssh_port: int
    socket: str
    """Of its libvirtd, there."""
    folder: PurePosixPath
    """Where its guests and images are, there."""
    kvm: bool | None
    """Whether guests run by KVM there; None: if its libvirt says that they can."""
    tls: str | None
    """Where its libvirtd is reached by TLS; None: through its socket, by SSH."""

    @property
    def identity(self) -> str:
        """Return what is the same for whoever drives this host, from wherever."""
        return f"{self.hostname}:{self.ssh_port}:{self.folder}"


def is_remote(uri: str) -> bool:
    """Return whether an entry of ``LITEVPS_COMPUTE`` is a host elsewhere."""
    return uri.partition(":")[0] in SCHEMES


def parse_remote_uri(uri: str) -> RemoteHostUri:
    """Read ``qemu+ssh://root@h1:22/system?folder=…&socket=…&kvm=yes``, or ``qemu+tls``. Raises BadHostUri.

    With TLS, ``ssh_user`` and ``ssh_port`` tell how its files are reached.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as problem:
        raise BadHostUri(f"{uri}: {problem}") from None
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    by_tls = parts.scheme == TLS
    known = (*OURS, *TLS_PARAMETERS) if by_tls else ("socket", "folder", "kvm")
    unknown = sorted(parameters.keys() - set(known))
    if unknown:
        raise BadHostUri(f"{uri}: unknown parameters: {', '.join(unknown)}")
    if not parts.hostname or parts.path != "/system" or parts.password or parts.fragment:
        raise BadHostUri(f"{uri}: must be {parts.scheme}://[USER@]HOST[:PORT]/system, with no password")
    folder = PurePosixPath(parameters.get("folder", FOLDER))
    if not folder.is_absolute() or ".." in folder.parts:
        raise BadHostUri(f"{uri}: folder must be an absolute path")
    kvm = parameters.get("kvm")
    if kvm not in (None, "yes", "no"):
        raise BadHostUri(f"{uri}: kvm must be yes or no")
    ssh_port = parameters.get("ssh_port", str(SSH_PORT)) if by_tls else str(port or SSH_PORT)
    if not (ssh_port.isascii() and ssh_port.isdigit() and 0 < int(ssh_port[:6]) < 65_536):
        raise BadHostUri(f"{uri}: ssh_port must be a port")
    return RemoteHostUri(
        hostname=parts.hostname,
        user=(parameters.get("ssh_user") if by_tls else parts.username) or "root",
        ssh_port=int(ssh_port),
        socket=parameters.get("socket", SOCKET),
        folder=folder,
        kvm=None if kvm is None else kvm == "yes",
        tls=_tls(parts.hostname, port, parameters) if by_tls else None,
    )


def _tls(hostname: str, port: int | None, parameters: dict[str, str]) -> str:
    told = urlencode({name: parameters[name] for name in TLS_PARAMETERS if name in parameters}, quote_via=quote)
    address = f"[{hostname}]" if ":" in hostname else hostname
    return f"{TLS}://{address}{'' if port is None else f':{port}'}/system{f'?{told}' if told else ''}"
