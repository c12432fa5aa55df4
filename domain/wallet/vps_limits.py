"""Limits of an account: how many VPSs it may keep, and how much disk they may have together, on or off.

What is off costs nothing, so that only these bound what an account that pays for nothing may hold. They are checked
over the wallet, in whose stream each admission is recorded: a hundred creates at once on a limit for twenty make
twenty.
"""

import msgspec

from domain.errors import Invalid, Refusal
from domain.events import Event
from domain.pricing.price_book import PriceBook
from domain.wallet.events import VpsLimitsSet
from domain.wallet.funds import check_reason, owner
from domain.wallet.meter import Meter
from domain.wallet.wallet import Wallet

VPS_MAX_HIGHEST = 1_000_000
VPS_DISK_GB_MAX_HIGHEST = 1_000_000_000


class VpsLimits(msgspec.Struct, frozen=True):
    """What an account may keep. None, where it stands for one account: as for every other."""

    vps_max: int
    vps_disk_gb_max: int
    """GiB of all its VPSs together."""


class SetVpsLimits(msgspec.Struct, frozen=True):
    """Give an account limits of its own; None: those of every other account, again."""

    vps_max: int | None
    vps_disk_gb_max: int | None
    reason: str


class VpsLimitReached(Refusal):
    """The account keeps as many VPSs as it may; a deleted one makes room at once."""

    code = "vps_limit_reached"
    sentence = "the account has as many VPSs as it may"

    def __init__(self, *, vps_count: int, vps_max: int) -> None:
        super().__init__(vps_count=vps_count, vps_max=vps_max)


class VpsDiskLimitReached(Refusal):
    """The disk of all VPSs and snapshots that the account would keep, in GiB, is more than it may have."""

    code = "vps_disk_limit_reached"
    sentence = "the account's VPSs have as much disk as they may"

    def __init__(self, *, vps_disk_gb: int, disk_gb: int, vps_disk_gb_max: int) -> None:
        super().__init__(vps_disk_gb=vps_disk_gb, disk_gb=disk_gb, vps_disk_gb_max=vps_disk_gb_max)


def vps_limits(wallet: Wallet, of_all: VpsLimits) -> VpsLimits:
    """Return the limits of an account: its own where it was given any, else those ``of_all``."""
    return VpsLimits(
        vps_max=of_all.vps_max if wallet.vps_max is None else wallet.vps_max,
        vps_disk_gb_max=of_all.vps_disk_gb_max if wallet.vps_disk_gb_max is None else wallet.vps_disk_gb_max,
    )


def check_vps_limits(wallet: Wallet, book: PriceBook, of_all: VpsLimits, disk_gb: int) -> None:
    """Raise VpsLimitReached or VpsDiskLimitReached where an account may not keep one VPS more, of that much disk.

    A VPS counts until its deletion is accepted.
    """
    limits = vps_limits(wallet, of_all)
    kept = _kept(wallet)
    if len(kept) >= limits.vps_max:
        raise VpsLimitReached(vps_count=len(kept), vps_max=limits.vps_max)
    check_disk_limit(wallet, book, of_all, disk_gb)


def check_disk_limit(wallet: Wallet, book: PriceBook, of_all: VpsLimits, disk_gb: int) -> None:
    """Raise VpsDiskLimitReached where an account may not keep so much disk more, GiB, in a VPS or a snapshot."""
    limits = vps_limits(wallet, of_all)
    # Plans never change their sizes, so that a plan tells the disk of each VPS of it.
    kept_gb = sum(book.plan(meter.plan_id).disk_gb + meter.snapshots_gb for meter in _kept(wallet))
    if kept_gb + disk_gb > limits.vps_disk_gb_max:
        raise VpsDiskLimitReached(vps_disk_gb=kept_gb, disk_gb=disk_gb, vps_disk_gb_max=limits.vps_disk_gb_max)


def set_vps_limits(wallet: Wallet, command: SetVpsLimits) -> tuple[Event, ...]:
    """Return what is recorded of an account's own limits; nothing where they are so already. Raises Invalid."""
    wrong = {
        name: f"must be from 0 to {highest}"
        for name, limit, highest in (
            ("vps_max", command.vps_max, VPS_MAX_HIGHEST),
            ("vps_disk_gb_max", command.vps_disk_gb_max, VPS_DISK_GB_MAX_HIGHEST),
        )
        if limit is not None and not 0 <= limit <= highest
    }
    if wrong:
        raise Invalid(fields=wrong)
    check_reason(command.reason)
    if (command.vps_max, command.vps_disk_gb_max) == (wallet.vps_max, wallet.vps_disk_gb_max):
        return ()
    return (VpsLimitsSet(owner(wallet), command.vps_max, command.vps_disk_gb_max, command.reason),)


def _kept(wallet: Wallet) -> list[Meter]:
    return [meter for meter in wallet.meters.values() if not meter.deleted]
