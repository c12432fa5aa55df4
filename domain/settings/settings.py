"""Settings that operators change while the service runs, each with its default and its bounds."""

from collections.abc import Callable
from typing import Any

import msgspec

from domain.compute.host import PERCENT_MAX
from domain.deciding import AggregateRef, Decision, Fold, recorded_in
from domain.errors import Invalid
from domain.events import Event
from domain.ids import SETTINGS_STREAM
from domain.settings.commands import ChangeSetting
from domain.settings.events import SettingChanged
from domain.statements.tax import TaxRate, parse_tax_rates
from domain.wallet.boots import FAILED_STARTS_OF_ACCOUNT_MAX
from domain.wallet.vps_limits import VPS_DISK_GB_MAX_HIGHEST, VPS_MAX_HIGHEST, VpsLimits

ISSUER_CHARACTERS_MAX = 200
TTL_WARNING_MINUTES_MAX = 7 * 24 * 60


class OperatorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in force."""

    exec_max_timeout_seconds: int = 3600
    """The longest time limit that a command can have."""
    failed_starts_per_hour: int = FAILED_STARTS_OF_ACCOUNT_MAX
    """How many starts the guests of one account may let fail within an hour; each that boots as long counts as one."""
    refunds_per_30_days: int = 2
    """How often a customer may ask for money back; each time the house loses what Stripe kept of the payment."""
    vps_max: int = 20
    """How many VPSs an account may keep, on or off, unless it is told otherwise for the account."""
    vps_disk_gb_max: int = 500
    """How much disk, GiB, they may have together, unless it is told otherwise for the account."""
    snapshots_per_vps: int = 16
    """How many snapshots a VPS may have; each counts as much disk as it has itself."""
    host_cpu_percent: int = 400
    """How many processors may be promised to what is on, in percent of those that a host has."""
    host_disk_percent: int = 100
    """How much disk may be promised to VPSs, in percent of what a host has for them."""
    host_lost_after_minutes: int = 3
    """For how long a host gives no answer before it is taken to be gone."""
    ttl_warning_minutes: int = 10
    """How long before a VPS is deleted, since its time is over, that is told."""
    refund_keeps_fee: bool = False
    """Whether what Stripe kept of a payment is kept of its refunds, too, those of a closed account included."""
    tax: tuple[TaxRate, ...] = ()
    """Taxes that prices include; statements that are issued from now on tell how much of what was charged they are."""
    issuer: str = "LiteVPS"
    """Who issues statements."""

    @property
    def vps_limits(self) -> VpsLimits:
        """What an account may keep that has no limits of its own."""
        return VpsLimits(self.vps_max, self.vps_disk_gb_max)


BOUNDS: dict[str, tuple[int, int]] = {
    "exec_max_timeout_seconds": (1, 86_400),
    "failed_starts_per_hour": (3, 10_000),
    "refunds_per_30_days": (1, 10_000),
    "vps_max": (0, VPS_MAX_HIGHEST),
    "vps_disk_gb_max": (0, VPS_DISK_GB_MAX_HIGHEST),
    "snapshots_per_vps": (0, 1_000),
    "host_cpu_percent": (1, PERCENT_MAX),
    "host_disk_percent": (1, PERCENT_MAX),
    "ttl_warning_minutes": (0, TTL_WARNING_MINUTES_MAX),
    "host_lost_after_minutes": (1, 1_440),
}


def evolve(settings: OperatorSettings, event: Event) -> OperatorSettings:
    """Return the settings after an event; a setting that is no longer known changes nothing."""
    match event:
        case SettingChanged() if event.name in _TYPES:
            value = msgspec.json.decode(event.value, type=_TYPES[event.name])
            return msgspec.structs.replace(settings, **{event.name: value})
        case _:
            return settings


FOLD = Fold(initial=OperatorSettings(), evolve=evolve)
SETTINGS_REF: AggregateRef[OperatorSettings] = AggregateRef(SETTINGS_STREAM, FOLD)


def change(settings: OperatorSettings, command: ChangeSetting) -> Decision:
    """Decide on another value; the same one again changes nothing. Raises Invalid."""
    read = _READ.get(command.name)
    if read is None:
        raise Invalid(fields={command.name: "no such setting"})
    value = read(command.name, str(command.value))
    if getattr(settings, command.name) == value:
        return Decision()
    return recorded_in(SETTINGS_STREAM, SettingChanged(command.name, msgspec.json.encode(value).decode()))


def _number(name: str, text: str) -> int:
    lowest, highest = BOUNDS[name]
    if not (text.isascii() and text.isdigit() and lowest <= int(text[:20]) <= highest):
        raise Invalid(fields={name: f"must be from {lowest} to {highest}"})
    return int(text)


def _flag(name: str, text: str) -> bool:
    if text not in ("on", "off"):
        raise Invalid(fields={name: "must be on or off"})
    return text == "on"


def _rates(_name: str, text: str) -> tuple[TaxRate, ...]:
    return parse_tax_rates(text)


def _line(name: str, text: str) -> str:
    line = text.strip()
    if not line or len(line) > ISSUER_CHARACTERS_MAX or not line.isprintable():
        raise Invalid(fields={name: f"must be one line of at most {ISSUER_CHARACTERS_MAX} characters"})
    return line


_READ: dict[str, Callable[[str, str], Any]] = {
    **dict.fromkeys(BOUNDS, _number),
    "refund_keeps_fee": _flag,
    "tax": _rates,
    "issuer": _line,
}
_TYPES: dict[str, Any] = {
    **dict.fromkeys(BOUNDS, int),
    "refund_keeps_fee": bool,
    "tax": tuple[TaxRate, ...],
    "issuer": str,
}
