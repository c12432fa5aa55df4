"""What requests about templates take and tell."""

from typing import Annotated, Any

import msgspec

from api.application.templates import TemplateSpecification, TemplateView
from domain.compute.boot_script import SCRIPT_BYTES_MAX
from domain.compute.ttl import TTL_MINUTES_MAX
from domain.images.templates import DESCRIPTION_CHARACTERS_MAX

Size = Annotated[int, msgspec.Meta(ge=1, le=2**31)]

EXAMPLE: dict[str, Any] = {
    "name": "ubuntu-22-small",
    "description": "The smallest VPS. It starts Debian 12 (debian-12-lite): there is no Ubuntu here.",
    "image": "debian-12-lite",
    "vcpu": 1,
    "memory_mb": 512,
    "disk_gb": 10,
    "user_data": None,
    "ttl_minutes": None,
}


class NewTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template to be kept; sizes in MiB and GiB."""

    name: Annotated[str, msgspec.Meta(description="`a-z`, `0-9`, `.` and `-` inside, at most 63.")]
    description: Annotated[str, msgspec.Meta(max_length=DESCRIPTION_CHARACTERS_MAX)] = ""
    image: Annotated[
        str | None, msgspec.Meta(description="One that operators have registered; null: `debian-12-lite`.")
    ] = None
    vcpu: Size
    memory_mb: Size
    disk_gb: Size
    user_data: Annotated[
        str | None,
        msgspec.Meta(description=f"As for POST /api/vps: at most {SCRIPT_BYTES_MAX} bytes that the image understands."),
    ] = None
    ttl_minutes: Annotated[int, msgspec.Meta(ge=1, le=TTL_MINUTES_MAX)] | None = None

    def to_command(self) -> TemplateSpecification:
        """Return what this asks for."""
        return TemplateSpecification(**msgspec.structs.asdict(self))


class TemplateResponse(msgspec.Struct, frozen=True):
    """What VPSs can be made as; sizes in MiB and GiB."""

    name: str
    description: str
    image: str
    """What a VPS of it would start from, now."""
    vcpu: int
    memory_mb: int
    disk_gb: int
    user_data: str | None
    ttl_minutes: int | None

    @classmethod
    def of(cls, view: TemplateView) -> "TemplateResponse":
        """Return a template as it is told."""
        template = view.template
        return cls(
            name=template.name,
            description=template.description,
            image=view.image,
            vcpu=template.vcpu,
            memory_mb=template.memory_mb,
            disk_gb=template.disk_gb,
            user_data=view.user_data,
            ttl_minutes=template.ttl_minutes,
        )
