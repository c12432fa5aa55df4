"""What can be asked of a VPS."""

import msgspec
from msgspec import UNSET, UnsetType

from domain.blobs import OffloadedText
from domain.compute.egress import WantedEgress
from domain.ids import AccountId, PlanId, SshKeyId, TokenId, VpsId


class ChangeVps(msgspec.Struct, frozen=True, kw_only=True):
    """Have a VPS otherwise; what is left unset stays as it is."""

    vps_id: VpsId
    account_id: AccountId
    name: str | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    """All that it is to have."""
    plan_id: PlanId | UnsetType = UNSET
    """Of one that is off; its disk may grow by it, and never shrinks."""
    asked_by: TokenId | None = None
    """The token that asks, None where a session does."""
    ttl_minutes: int | UnsetType | None = UNSET
    """It is deleted so many minutes from now; None: not by itself."""
    egress: WantedEgress | UnsetType = UNSET


class CreateVps(msgspec.Struct, frozen=True, kw_only=True):
    """Have a new VPS: everything is settled but whether it may be on. Sizes are those of its plan."""

    vps_id: VpsId
    account_id: AccountId
    name: str
    plan_id: PlanId
    vcpu: int
    memory_mb: int
    disk_gb: int
    image: str
    image_disk_gb_min: int = 1
    """GiB that a disk upon the image must have at least."""
    cloud_config: bool = False
    """Whether guests of the image understand cloud-init's ``#cloud-config``."""
    template: str | None = None
    """The name of the template that it is made from."""
    ssh_key_ids: tuple[SshKeyId, ...] = ()
    authorized_keys: tuple[str, ...] = ()
    """The customer's OpenSSH public keys."""
    user_data: str | None = None
    offloaded_user_data: OffloadedText | None = None
    """The same, where it is too large for an event."""
    labels: dict[str, str] = {}
    ttl_minutes: int | None = None
    """It is deleted so many minutes from now; None: not by itself."""
    egress: WantedEgress | None = None
    """What its guest may reach; None: nothing was said of it, so the internet."""
    token_id: TokenId | None = None
