"""What can be asked of images and templates."""

import msgspec

from domain.blobs import OffloadedText
from domain.ids import AccountId, HostId, TemplateId
from domain.images.events import Boots, UserData


class RegisterImage(msgspec.Struct, frozen=True, kw_only=True):
    """Have guests start from an image whose files are on these hosts; they were looked at already."""

    name: str
    key: str
    boots: Boots
    user_data: UserData
    disk_gb_min: int
    size_bytes: int
    sha256: str
    host_ids: tuple[HostId, ...]


class DefineSharedTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """Offer a template to everybody."""

    name: str
    description: str
    image: str
    instead: str | None = None
    vcpu: int
    memory_mb: int
    disk_gb: int
    user_data: str | None = None
    ttl_minutes: int | None = None


class DefineTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a template of one's own."""

    template_id: TemplateId
    account_id: AccountId
    name: str
    description: str
    image: str
    vcpu: int
    memory_mb: int
    disk_gb: int
    user_data: str | None = None
    offloaded_user_data: OffloadedText | None = None
    """The same, where it is too large for an event."""
    ttl_minutes: int | None = None
