"""Templates: what VPSs are made as by a name, offered to everybody or kept by an account."""

from collections.abc import Iterable, Iterator

import msgspec

from domain.blobs import INLINE_BYTES_MAX, Blob
from domain.compute.boot_script import wrong_boot_script
from domain.compute.ttl import wrong_ttl
from domain.deciding import NOTHING, AggregateRef, Decision, Fold, recorded_in
from domain.errors import Invalid, NotFound, Refusal
from domain.events import Event
from domain.ids import SHARED_TEMPLATES_STREAM, AccountId, TemplateId, template_stream, templates_stream
from domain.images.commands import DefineSharedTemplate, DefineTemplate
from domain.images.events import (
    SharedTemplateDefined,
    SharedTemplateRemoved,
    TemplateDefined,
    TemplateRemoved,
    TemplateUserDataKept,
)
from domain.images.images import Images, wrong_image_name
from domain.pricing.price_book import DISK_GB_MAX, MEMORY_MB_MAX, VCPU_MAX
from domain.time import HOUR, Instant, seconds

TEMPLATES_MAX = 50
"""How many an account can have, and how many are offered to everybody."""
DEFINED_PER_DAY_MAX = 100
"""By an account, those included that it removes again: what their VPSs are to do is kept as long as the events."""
DESCRIPTION_CHARACTERS_MAX = 1_000

_DAY = 24 * HOUR


class TemplateNameTaken(Refusal):
    """The account has a template of this name, or one of this name is offered to everybody."""

    code = "template_name_taken"
    sentence = "template name is taken"


class TooManyTemplates(Refusal):
    """The account has as many templates as it can have."""

    code = "too_many_templates"
    sentence = "too many templates"


class TooManyTemplatesToday(Refusal):
    """The account has kept as many templates as it may within a day, removed ones included."""

    code = "too_many_templates_today"
    sentence = "too many templates within a day"


class TemplateIsShared(Refusal):
    """It is offered to everybody, and is no account's to remove."""

    code = "template_is_shared"
    sentence = "template belongs to the service"


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """What VPSs are made as; sizes in MiB and GiB."""

    name: str
    description: str
    image: str
    instead: str | None = None
    """The image that is started where no host has ``image``."""
    vcpu: int
    memory_mb: int
    disk_gb: int
    user_data: str | None = None
    """Of one that is offered to everybody; an account's is in a stream of its own."""
    has_user_data: bool = False
    ttl_minutes: int | None = None
    defined_at: Instant
    template_id: TemplateId | None = None
    """None where it is offered to everybody."""

    def starts(self, images: Images) -> str:
        """Return the image that a VPS of it really starts from, now."""
        if self.instead is None or images.on_some_host(self.image):
            return self.image
        return self.instead


class SharedTemplates(msgspec.Struct, frozen=True):
    """The templates that are offered to everybody, oldest first."""

    by_name: dict[str, Template] = {}
    ever: bool = False
    """Whether there ever was one: those that ship are offered once only."""


class Templates(msgspec.Struct, frozen=True):
    """The templates of an account, oldest first."""

    by_id: dict[TemplateId, Template] = {}
    day: int = 0
    """The day, counted from 1970, on which it kept one last."""
    day_count: int = 0
    """How many on that day, removed ones included."""

    def find(self, name: str) -> Template | None:
        """Return the one of this name."""
        return next((template for template in self.by_id.values() if template.name == name), None)


def evolve_shared(templates: SharedTemplates, event: Event) -> SharedTemplates:
    """Return what is offered to everybody after an event of its stream."""
    match event:
        case SharedTemplateDefined():
            template = Template(
                name=event.name,
                description=event.description,
                image=event.image,
                instead=event.instead,
                vcpu=event.vcpu,
                memory_mb=event.memory_mb,
                disk_gb=event.disk_gb,
                user_data=event.user_data,
                has_user_data=event.user_data is not None,
                ttl_minutes=event.ttl_minutes,
                defined_at=event.at,
            )
            return SharedTemplates({**templates.by_name, event.name: template}, ever=True)
        case SharedTemplateRemoved():
            return SharedTemplates({n: kept for n, kept in templates.by_name.items() if n != event.name}, ever=True)
        case _:
            return templates


def evolve(templates: Templates, event: Event) -> Templates:
    """Return the templates of an account after an event of their stream."""
    match event:
        case TemplateDefined():
            template = Template(
                name=event.name,
                description=event.description,
                image=event.image,
                vcpu=event.vcpu,
                memory_mb=event.memory_mb,
                disk_gb=event.disk_gb,
                has_user_data=event.has_user_data,
                ttl_minutes=event.ttl_minutes,
                defined_at=event.at,
                template_id=event.template_id,
            )
            day = event.at // _DAY
            count = templates.day_count + 1 if day == templates.day else 1
            return Templates({**templates.by_id, event.template_id: template}, day, count)
        case TemplateRemoved():
            kept = {id_: kept for id_, kept in templates.by_id.items() if id_ != event.template_id}
            return msgspec.structs.replace(templates, by_id=kept)
        case _:
            return templates


def evolve_user_data(user_data: str | Blob | None, event: Event) -> str | Blob | None:
    """Return the user data of a template after an event of its own stream."""
    return event.user_data if isinstance(event, TemplateUserDataKept) else user_data


SHARED_TEMPLATES: AggregateRef[SharedTemplates] = AggregateRef(
    SHARED_TEMPLATES_STREAM, Fold(initial=SharedTemplates(), evolve=evolve_shared)
)
FOLD: Fold[Templates] = Fold(initial=Templates(), evolve=evolve)
USER_DATA_FOLD: Fold[str | Blob | None] = Fold(initial=None, evolve=evolve_user_data)


def templates_ref(account_id: AccountId) -> AggregateRef[Templates]:
    """Return the reference of an account's templates."""
    return AggregateRef(templates_stream(account_id), FOLD)


def user_data_ref(template_id: TemplateId) -> AggregateRef[str | Blob | None]:
    """Return the reference of what a template of an account has its VPSs do at their first boot."""
    return AggregateRef(template_stream(template_id), USER_DATA_FOLD)


def define(
    templates: Templates, shared: SharedTemplates, images: Images, command: DefineTemplate, now: Instant
) -> Decision:
    """Decide to keep a template of an account.

    Raises Invalid, TemplateNameTaken, TooManyTemplates, TooManyTemplatesToday.
    """
    _refuse_invalid(_wrong_fields(command, images))
    if templates.find(command.name) is not None or command.name in shared.by_name:
        raise TemplateNameTaken(name=command.name)
    if len(templates.by_id) >= TEMPLATES_MAX:
        raise TooManyTemplates(templates_max=TEMPLATES_MAX)
    if templates.day == now // _DAY and templates.day_count >= DEFINED_PER_DAY_MAX:
        raise TooManyTemplatesToday(retry_after_seconds=-(-(_DAY - now % _DAY) // seconds(1)))
    defined = TemplateDefined(
        account_id=command.account_id,
        template_id=command.template_id,
        name=command.name,
        description=command.description,
        image=command.image,
        vcpu=command.vcpu,
        memory_mb=command.memory_mb,
        disk_gb=command.disk_gb,
        has_user_data=command.user_data is not None,
        ttl_minutes=command.ttl_minutes,
        at=now,
    )
    decision = recorded_in(templates_stream(command.account_id), defined)
    if command.user_data is None:
        return decision
    offloaded = command.offloaded_user_data
    kept = TemplateUserDataKept(command.template_id, command.user_data if offloaded is None else offloaded.blob)
    return Decision(
        events=(*decision.events, (template_stream(command.template_id), kept)),
        blobs=() if offloaded is None else (offloaded.kept,),
    )


def remove(templates: Templates, shared: SharedTemplates, account_id: AccountId, name: str, now: Instant) -> Decision:
    """Decide that an account has a template no longer. Raises NotFound or TemplateIsShared."""
    template = templates.find(name)
    if template is None or template.template_id is None:
        raise TemplateIsShared if name in shared.by_name else NotFound
    return recorded_in(templates_stream(account_id), TemplateRemoved(account_id, template.template_id, now))


def define_shared(
    shared: SharedTemplates, images: Images, command: DefineSharedTemplate, now: Instant
) -> tuple[Event, ...]:
    """Return what is recorded to offer a template to everybody; one of the same name is followed by it.

    Nothing where it is offered so. Raises Invalid or TooManyTemplates.
    """
    wrong = dict(_wrong_fields(command, images, may_lack_image=command.instead is not None))
    if command.instead is not None and images.find(command.instead) is None:
        wrong["instead"] = "no such image"
    if command.user_data is not None and len(command.user_data.encode()) > INLINE_BYTES_MAX:
        wrong["user_data"] = f"must have at most {INLINE_BYTES_MAX} bytes in UTF-8"
    _refuse_invalid(wrong.items())
    known = shared.by_name.get(command.name)
    if known is None and len(shared.by_name) >= TEMPLATES_MAX:
        raise TooManyTemplates(templates_max=TEMPLATES_MAX)
    given = msgspec.structs.asdict(command)
    if known is not None and all(getattr(known, name) == value for name, value in given.items()):
        return ()
    return (SharedTemplateDefined(**given, at=now),)


def remove_shared(shared: SharedTemplates, name: str, now: Instant) -> Decision:
    """Decide to offer a template to nobody any more. Raises NotFound."""
    if name not in shared.by_name:
        raise NotFound
    return recorded_in(SHARED_TEMPLATES_STREAM, SharedTemplateRemoved(name, now))


def images_named(shared: SharedTemplates) -> frozenset[str]:
    """Return the images that what is offered to everybody cannot do without."""
    return frozenset(template.instead or template.image for template in shared.by_name.values())


def visible(templates: Templates, shared: SharedTemplates) -> tuple[Template, ...]:
    """Return what an account can make VPSs from; its own hides one of the same name that came later."""
    own = {template.name: template for template in templates.by_id.values()}
    return tuple({**shared.by_name, **own}.values())


def find_visible(templates: Templates, shared: SharedTemplates, name: str) -> Template | None:
    """Return the template that a name means to an account; None: there is none."""
    return templates.find(name) or shared.by_name.get(name)


def offer_shipped(
    shared: SharedTemplates, images: Images, shipped: Iterable[DefineSharedTemplate], now: Instant
) -> Decision:
    """Decide to offer the templates that ship, where there never was any."""
    if shared.ever:
        return NOTHING
    return recorded_in(
        SHARED_TEMPLATES_STREAM,
        *(event for command in shipped for event in define_shared(shared, images, command, now)),
    )


def _wrong_fields(
    command: DefineTemplate | DefineSharedTemplate, images: Images, *, may_lack_image: bool = False
) -> Iterator[tuple[str, str]]:
    if wrong := wrong_image_name(command.name):
        yield "name", wrong
    if len(command.description) > DESCRIPTION_CHARACTERS_MAX or "\0" in command.description:
        yield "description", f"must have at most {DESCRIPTION_CHARACTERS_MAX} characters, and no NUL"
    image = images.find(command.image)
    if image is None and not may_lack_image:
        yield "image", "no such image"
    for field, size, size_max in (
        ("vcpu", command.vcpu, VCPU_MAX),
        ("memory_mb", command.memory_mb, MEMORY_MB_MAX),
        ("disk_gb", command.disk_gb, DISK_GB_MAX),
    ):
        if not 1 <= size <= size_max:
            yield field, f"must be from 1 to {size_max}"
    if image is not None and command.disk_gb < image.disk_gb_min:
        yield "disk_gb", f"image {image.name} takes {image.disk_gb_min}"
    if command.ttl_minutes is not None and (wrong := wrong_ttl(command.ttl_minutes)):
        yield "ttl_minutes", wrong
    if command.user_data is not None and image is not None:
        understood = image.user_data == "cloud-init"
        if wrong := wrong_boot_script(command.user_data, image.name, cloud_config=understood):
            yield "user_data", wrong


def _refuse_invalid(wrong: Iterable[tuple[str, str]]) -> None:
    if fields := dict(wrong):
        raise Invalid(fields=fields)
