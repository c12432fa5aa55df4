"""What can be asked of alerts."""

from uuid import UUID

import msgspec

from domain.money import MicroUsd


class SetAlerts(msgspec.Struct, frozen=True):
    """Have alerts go to an address, at these thresholds."""

    email: str
    thresholds: tuple[MicroUsd, ...]
    verification_id: UUID
    """Of the verification that is begun if the address needs one."""
    code_digest: str
    """Of the code that is mailed then."""


class VerifyAddress(msgspec.Struct, frozen=True):
    """Show the code that came by mail."""

    verification_id: UUID
    code_digest: str
