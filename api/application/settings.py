"""Settings: flags, variables and ``litevps.toml`` made into one frozen struct, and where each came from."""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from api.application.host_uris import BadHostUri, is_remote, parse_remote_uri

PREFIX = "LITEVPS_"
FILE_NAME = "litevps.toml"
TURNSTILE_TEST_SECRET_PREFIXES = ("1x00", "2x00", "3x00")
"""https://developers.cloudflare.com/turnstile/troubleshooting/testing/"""
STRIPE_TEST_KEY_PREFIXES = ("sk_test_", "rk_test_")

Source = Literal["flag", "variable", "file", "default"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
METRICS_TOKEN_CHARACTERS_MIN = 32
GUEST_NETWORK_BITS = 16
"""The rest of a guest's address is the port that leads to its SSH."""
_MAPPED_BITS = 96
"""How many bits of an IPv6 address come before the IPv4 address that it stands for (RFC 4291, 2.5.5.2)."""


class SettingsRefused(Exception):
    """The settings do not fit together, or one cannot be read; the text says which and why."""


def default_home() -> str:
    """Return root's home folder, which lies where the unprivileged user of PostgreSQL may enter, or one's own."""
    return "/var/lib/litevps" if os.geteuid() == 0 else "~/.litevps"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set before a start. Each has a variable of its name and, secrets apart, a flag."""

    home: str = msgspec.field(default_factory=default_home)
    """The folder with keys, passwords and whatever is embedded."""
    development: bool = False
    """Loopback only, Cloudflare's test keys, mail to a folder, a stand-in for Stripe."""
    one_process: bool = False
    """``litevps serve`` runs HTTP and work in one process; otherwise each has its own."""
    host: str = "127.0.0.1"
    port: int = 8000
    database_url: str | None = None
    """A PostgreSQL server; the role should own nothing. Without it, the embedded one."""
    migration_url: str | None = None
    """The same database as the role that owns it; without it, nothing is migrated at the start."""
    compute: str = "embedded"
    """``embedded``, ``simulated``, or libvirt URIs parted by commas."""
    network: Literal["user", "nat"] = "user"
    """``user``: guests reach nothing, and only SSH gets in. ``nat``: the internet, through the host's filter."""
    guest_network: str = "10.77.0.0/16"
    """With ``nat``: the addresses of guests, a /16."""
    guest_uplink: str | None = None
    """With ``nat``: the interface that leads to the internet; without it, that of the default route."""
    guest_ssh_host: str | None = None
    """With ``nat``: the address that customers reach guests' SSH ports at; without it, that of the uplink."""
    guest_smtp: bool = False
    """With ``nat``: whether guests may speak SMTP to others' servers."""
    guest_denied_networks: str = ""
    """With ``nat``: networks parted by commas that no guest reaches, besides those that none ever does."""
    guest_name_servers: str = ""
    """With ``nat``: where guests' names are asked for, parted by commas; without it, those of /etc/resolv.conf."""
    host_ssh_key_file: str | None = None
    """The file of the SSH key that opens hosts elsewhere."""
    host_known_hosts_file: str | None = None
    """The file of their host keys, as OpenSSH's known_hosts; no others are accepted."""
    public_url: str | None = None
    """The address that customers use; without it, host and port."""
    master_key: str | None = None
    """32 bytes in base64, or several parted by commas while one follows another."""
    master_key_file: str | None = None
    """The file that master keys are in, one a line; without it, and without any here, master.key in the home folder."""
    turnstile_secret: str | None = None
    turnstile_url: str = "https://challenges.cloudflare.com/turnstile/v0/siteverify"
    stripe_secret_key: str | None = None
    """Without it, in development, something stands in for Stripe."""
    stripe_webhook_secret: str | None = None
    """Of the webhook endpoint; several parted by commas while one follows another."""
    stripe_api_base: str | None = None
    """Where Stripe's API is, for tests; without it, at Stripe."""
    smtp_url: str | None = None
    metrics_token: str | None = None
    """What Prometheus shows to read the metrics of all guests at ``/metrics``; without it, nobody does."""
    trusted_proxies: str = ""
    """Networks parted by commas, whose ``X-Forwarded-For`` is believed."""
    operator_email: str = "operator@litevps.example"
    """The address of the first operator, made at the first start."""
    requests_per_minute: int = 1200
    """How many requests one session may make."""
    logins_per_minute: int = 10
    """How many logins one address may try."""
    registrations_per_minute: int = 10
    wrong_credentials_per_minute: int = 60
    """How many sessions and tokens that are none one client may show."""
    connections_max: int = 4096
    """How many connections a process keeps open for clients."""
    client_connections_max: int = 256
    """How many of them for one client, unless it is a trusted proxy."""

    @property
    def home_folder(self) -> Path:
        """The home folder as an absolute path."""
        return Path(self.home).expanduser().absolute()

    @property
    def url(self) -> str:
        """The address that customers use, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def local_url(self) -> str:
        """The address under which this machine reaches its own HTTP."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets of which any may sign Stripe's webhooks."""
        return tuple(_parts(self.stripe_webhook_secret or ""))

    @property
    def compute_uris(self) -> tuple[str, ...]:
        """The hosts that guests run on."""
        return tuple(_parts(self.compute))

    @property
    def proxy_networks(self) -> tuple[Network, ...]:
        """The networks whose word about a client's address is believed."""
        return tuple(map(_network, _parts(self.trusted_proxies)))

    @property
    def guest_ipv4_network(self) -> ipaddress.IPv4Network:
        """The addresses of guests."""
        return ipaddress.IPv4Network(self.guest_network)

    @property
    def guest_denied_ipv4_networks(self) -> tuple[ipaddress.IPv4Network, ...]:
        """The networks that no guest reaches besides those that none ever does."""
        return tuple(map(ipaddress.IPv4Network, _parts(self.guest_denied_networks)))

    @property
    def guest_name_server_list(self) -> tuple[str, ...]:
        """The addresses where guests' names are asked for."""
        return tuple(str(ipaddress.ip_address(part)) for part in _parts(self.guest_name_servers))


SECRETS = frozenset(
    {
        "database_url",
        "migration_url",
        "master_key",
        "turnstile_secret",
        "stripe_secret_key",
        "stripe_webhook_secret",
        "smtp_url",
        "metrics_token",
    }
)
"""These are masked where settings are shown, have no flag, and may be given as ``LITEVPS_…_FILE``."""
# Of the master key that file is a setting of its own, since it is read again when it changes.


class SettingsInForce(msgspec.Struct, frozen=True):
    """Settings, and where each of them came from."""

    settings: Settings
    sources: dict[str, Source]

    def shown(self) -> list[tuple[str, str, Source]]:
        """Return name, value and source of each setting, secrets masked."""
        values = msgspec.structs.asdict(self.settings)
        return [(name, _shown(name, value), self.sources[name]) for name, value in values.items()]


def load_settings(
    flags: Mapping[str, object], environment: Mapping[str, str], file: Path | None = None
) -> SettingsInForce:
    """Return the settings in force: a flag over its variable over the file over the default.

    ``flags``: by name of setting; None counts as not given. ``file``: another than ``litevps.toml`` here.
    Raises SettingsRefused.
    """
    from_file = _read_file(file)
    given: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for name in Settings.__struct_fields__:
        variable = _variable(name, environment)
        if flags.get(name) is not None:
            given[name], sources[name] = flags[name], "flag"
        elif variable is not None:
            given[name], sources[name] = variable, "variable"
        elif name in from_file:
            given[name], sources[name] = from_file[name], "file"
        else:
            sources[name] = "default"
    return SettingsInForce(_converted(given), sources)


def check_servable(settings: Settings) -> None:
    """Raise SettingsRefused unless the service may be started with these settings."""
    problems = _problems_of_development(settings) if settings.development else _problems_of_production(settings)
    if settings.port not in range(65536):
        problems.append("port must be from 0 to 65535")
    try:
        _ = settings.proxy_networks
    except ValueError as error:
        problems.append(f"trusted_proxies: {error}")
    problems += [*_problems_of_network(settings), *_problems_of_metrics(settings)]
    if settings.public_url is not None and urlsplit(settings.public_url).scheme not in ("http", "https"):
        problems.append("public_url must begin with http:// or https://")
    problems += problems_of_hosts(settings)
    if problems:
        raise SettingsRefused("cannot start:\n" + "\n".join(f"- {problem}" for problem in problems))


def _network(text: str) -> Network:
    """Return a network, one of IPv4 that is written as IPv6 as what it is. Raises ValueError."""
    network = ipaddress.ip_network(text)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - _MAPPED_BITS))


def problems_of_hosts(settings: Settings) -> list[str]:
    """Return why hosts elsewhere cannot be reached with these settings."""
    remote = [uri for uri in settings.compute_uris if is_remote(uri)]
    problems = []
    for uri in remote:
        try:
            parse_remote_uri(uri)
        except BadHostUri as problem:
            problems.append(f"compute: {problem}")
    for name in ("host_ssh_key_file", "host_known_hosts_file"):
        file = getattr(settings, name)
        if remote and (file is None or not os.access(file, os.R_OK)):
            problems.append(f"{PREFIX}{name.upper()} must name a file that can be read, for hosts elsewhere")
    return problems


def _problems_of_development(settings: Settings) -> list[str]:
    if _is_loopback(settings.host):
        return []
    return [f"development mode serves loopback addresses only, not {settings.host}"]


def _problems_of_production(settings: Settings) -> list[str]:
    wanted = ("stripe_secret_key", "stripe_webhook_secret", "turnstile_secret")
    problems = [
        f"{PREFIX}{name.upper()} is not set (or start with --development)"
        for name in wanted
        if not (getattr(settings, name) or "").strip(" ,")
    ]
    if (settings.stripe_secret_key or "").strip().startswith(STRIPE_TEST_KEY_PREFIXES):
        problems.append("stripe_secret_key is a test key")
    if (settings.turnstile_secret or "").strip().startswith(TURNSTILE_TEST_SECRET_PREFIXES):
        problems.append("turnstile_secret is one of Cloudflare's test keys")
    if settings.compute == "simulated":
        problems.append("compute is simulated: nothing would run")
    return problems


def _problems_of_metrics(settings: Settings) -> list[str]:
    token = settings.metrics_token
    if token is None or (len(token) >= METRICS_TOKEN_CHARACTERS_MIN and token.isascii()):
        return []
    return [f"metrics_token must have at least {METRICS_TOKEN_CHARACTERS_MIN} ASCII characters"]


def _problems_of_network(settings: Settings) -> list[str]:
    if settings.network == "user":
        return []
    problems = []
    if settings.compute != "embedded":
        problems.append("network nat is of the embedded host only")
    try:
        network = settings.guest_ipv4_network
        if network.prefixlen != GUEST_NETWORK_BITS or not network.is_private:
            problems.append(f"guest_network must be a private /{GUEST_NETWORK_BITS}, such as 10.77.0.0/16")
    except ValueError as error:
        problems.append(f"guest_network: {error}")
    for name, read in (
        ("guest_denied_networks", lambda: settings.guest_denied_ipv4_networks),
        ("guest_name_servers", lambda: settings.guest_name_server_list),
    ):
        try:
            read()
        except ValueError as error:
            problems.append(f"{name}: {error}")
    return problems


def _parts(text: str) -> list[str]:
    """Return what commas part."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or Path(FILE_NAME)
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        if file is not None:
            raise SettingsRefused(f"there is no file {file}") from None
        return {}
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{path} cannot be read: {error}") from error
    unknown = sorted(content.keys() - set(Settings.__struct_fields__))
    if unknown:
        raise SettingsRefused(f"{path}: unknown settings: {', '.join(unknown)}")
    return content


def _variable(name: str, environment: Mapping[str, str]) -> str | None:
    variable = PREFIX + name.upper()
    if variable in environment:
        return environment[variable]
    if name in SECRETS - {"master_key"} and (path := environment.get(f"{variable}_FILE")) is not None:
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise SettingsRefused(f"{variable}_FILE cannot be read: {error}") from error
    return None


def _converted(given: dict[str, Any]) -> Settings:
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsRefused(f"settings: {error}") from error


def _shown(name: str, value: object) -> str:
    if value is None:
        return ""
    if name in SECRETS:
        return "********"
    return str(value).lower() if isinstance(value, bool) else str(value)
