"""What is recorded of images and of templates."""

from typing import Literal

from domain.blobs import Blob
from domain.events import Event, Personal
from domain.ids import AccountId, HostId, TemplateId
from domain.time import Instant

Boots = Literal["kernel", "loader"]
"""By a kernel that the host hands over, or by the boot loader on its own disk."""
UserData = Literal["script", "cloud-init"]
"""What its guests can do with user data: run a script, or whatever cloud-init does."""


class ImageRegistered(Event, frozen=True, tag="images.image-registered.v1"):
    """Guests can start from an image; one of the same name is followed by this one."""

    name: str
    key: str
    """What its files are found by on a host."""
    boots: Boots
    user_data: UserData
    disk_gb_min: int
    """GiB that a disk upon it must have at least."""
    size_bytes: int
    sha256: str
    """Of its disk, as it was brought."""
    at: Instant


class ImageBrought(Event, frozen=True, tag="images.image-brought.v1"):
    """A host has the files of an image."""

    host_id: HostId
    name: str
    key: str


class ImageRetired(Event, frozen=True, tag="images.image-retired.v1"):
    """No new VPS can start from an image; those that did keep it."""

    name: str
    at: Instant


class SharedTemplateDefined(Event, frozen=True, tag="images.shared-template-defined.v1"):
    """The service offers a template to everybody. Sizes in MiB and GiB."""

    name: str
    description: str
    image: str
    instead: str | None
    """The image that is started where no host has ``image``."""
    vcpu: int
    memory_mb: int
    disk_gb: int
    user_data: str | None
    ttl_minutes: int | None
    at: Instant


class SharedTemplateRemoved(Event, frozen=True, tag="images.shared-template-removed.v1"):
    """The service offers a template no longer."""

    name: str
    at: Instant


class TemplateDefined(Event, frozen=True, tag="images.template-defined.v1"):
    """An account has a template of its own. Sizes in MiB and GiB."""

    account_id: AccountId
    template_id: TemplateId
    name: Personal
    description: Personal
    image: str
    vcpu: int
    memory_mb: int
    disk_gb: int
    has_user_data: bool
    """Kept in a stream of the template's own."""
    ttl_minutes: int | None
    at: Instant


class TemplateUserDataKept(Event, frozen=True, tag="images.template-user-data-kept.v1"):
    """What a template of an account has its VPSs do at their first boot."""

    template_id: TemplateId
    user_data: Personal | Blob


class TemplateRemoved(Event, frozen=True, tag="images.template-removed.v1"):
    """An account has a template no longer; VPSs that were made from it stay as they are."""

    account_id: AccountId
    template_id: TemplateId
    at: Instant
