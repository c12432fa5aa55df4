"""Templates, whoever asks: an account's own and those that are offered to everybody."""

from collections.abc import Sequence

import msgspec

from api.application.blobs import offloaded_texts, texts_of
from api.application.caller import Caller
from api.application.once import Once
from api.application.operators import OPERATOR
from api.application.repository import CommandContext, Decided
from api.application.runtime import Runtime
from domain.deciding import recorded_in
from domain.errors import NotFound
from domain.ids import TemplateId, template_stream
from domain.images import templates
from domain.images.commands import DefineSharedTemplate, DefineTemplate
from domain.images.images import IMAGES, LITE
from domain.images.templates import SHARED_TEMPLATES, Template, find_visible, templates_ref, user_data_ref, visible

_STEP = "template"


class TemplateSpecification(msgspec.Struct, frozen=True, kw_only=True):
    """A template that an account wants to keep; sizes in MiB and GiB."""

    name: str
    description: str = ""
    image: str | None = None
    """None: the lite one."""
    vcpu: int
    memory_mb: int
    disk_gb: int
    user_data: str | None = None
    ttl_minutes: int | None = None


class TemplateView(msgspec.Struct, frozen=True):
    """A template as whoever may use it sees it."""

    template: Template
    image: str
    """What a VPS of it would start from, now."""
    user_data: str | None


async def define_template(
    runtime: Runtime, caller: Caller, wanted: TemplateSpecification, once: Once[TemplateView] | None = None
) -> TemplateView:
    """Keep a template. Raises Invalid, TemplateNameTaken, TooManyTemplates, TooManyTemplatesToday or Contended."""
    template_id = TemplateId(runtime.ids.new())
    texts = {"user_data": wanted.user_data}
    offloaded = await offloaded_texts(runtime.sealer, template_stream(template_id), caller.account_id, texts)
    command = DefineTemplate(
        template_id=template_id,
        account_id=caller.account_id,
        name=wanted.name,
        description=wanted.description,
        image=wanted.image or LITE,
        vcpu=wanted.vcpu,
        memory_mb=wanted.memory_mb,
        disk_gb=wanted.disk_gb,
        user_data=wanted.user_data,
        offloaded_user_data=offloaded.get("user_data"),
        ttl_minutes=wanted.ttl_minutes,
    )
    ref, user_data = templates_ref(caller.account_id), user_data_ref(template_id)

    def view(decided: Decided) -> TemplateView:
        template = decided.loaded.of(ref).by_id[template_id]
        return TemplateView(template, template.image, wanted.user_data)

    executed = await runtime.aggregates.execute(
        (ref, user_data, SHARED_TEMPLATES, IMAGES),
        lambda loaded, now: templates.define(
            loaded.of(ref), loaded.of(SHARED_TEMPLATES), loaded.of(IMAGES), command, now
        ),
        caller.context(_STEP),
        result=view,
        once=once,
    )
    return executed.result


async def list_templates(runtime: Runtime, caller: Caller) -> list[TemplateView]:
    """Return the templates that an account can make VPSs from, with the user data of those of its own."""
    ref = templates_ref(caller.account_id)
    loaded = await runtime.aggregates.load(ref, SHARED_TEMPLATES, IMAGES)
    shown, images = visible(loaded.of(ref), loaded.of(SHARED_TEMPLATES)), loaded.of(IMAGES)
    texts = await _user_data_of(runtime, caller, shown)
    return [TemplateView(template, template.starts(images), text) for template, text in zip(shown, texts, strict=True)]


async def get_template(runtime: Runtime, caller: Caller, name: str) -> TemplateView:
    """Return the template of this name. Raises NotFound."""
    ref = templates_ref(caller.account_id)
    loaded = await runtime.aggregates.load(ref, SHARED_TEMPLATES, IMAGES)
    template = find_visible(loaded.of(ref), loaded.of(SHARED_TEMPLATES), name)
    if template is None:
        raise NotFound
    (user_data,) = await _user_data_of(runtime, caller, [template])
    return TemplateView(template, template.starts(loaded.of(IMAGES)), user_data)


async def remove_template(runtime: Runtime, caller: Caller, name: str) -> None:
    """Keep a template no longer. Raises NotFound, TemplateIsShared or Contended."""
    ref = templates_ref(caller.account_id)
    await runtime.aggregates.execute(
        (ref, SHARED_TEMPLATES),
        lambda loaded, now: templates.remove(loaded.of(ref), loaded.of(SHARED_TEMPLATES), caller.account_id, name, now),
        caller.context(_STEP),
    )


async def list_shared_templates(runtime: Runtime) -> list[Template]:
    """Return what is offered to everybody."""
    return list((await runtime.aggregates.load(SHARED_TEMPLATES)).of(SHARED_TEMPLATES).by_name.values())


async def define_shared_template(runtime: Runtime, command: DefineSharedTemplate) -> Template:
    """Offer a template to everybody. Raises Invalid or TooManyTemplates."""
    executed = await runtime.aggregates.execute(
        (SHARED_TEMPLATES, IMAGES),
        lambda loaded, now: recorded_in(
            SHARED_TEMPLATES.stream,
            *templates.define_shared(loaded.of(SHARED_TEMPLATES), loaded.of(IMAGES), command, now),
        ),
        CommandContext(actor=OPERATOR, step=_STEP),
    )
    return executed.loaded.of(SHARED_TEMPLATES).by_name[command.name]


async def remove_shared_template(runtime: Runtime, name: str) -> None:
    """Offer a template to nobody any more. Raises NotFound."""
    await runtime.aggregates.execute(
        (SHARED_TEMPLATES,),
        lambda loaded, now: templates.remove_shared(loaded.of(SHARED_TEMPLATES), name, now),
        CommandContext(actor=OPERATOR, step=_STEP),
    )


async def _user_data_of(runtime: Runtime, caller: Caller, shown: Sequence[Template]) -> list[str | None]:
    """Return the user data of each template; the streams of all of them are read at once."""
    refs = {one.template_id: user_data_ref(one.template_id) for one in shown if one.template_id and one.has_user_data}
    if not refs:
        return [template.user_data for template in shown]
    loaded = await runtime.aggregates.load(*refs.values())
    found: list[str | None] = []
    for template in shown:
        ref = None if template.template_id is None else refs.get(template.template_id)
        if ref is None:
            found.append(template.user_data)
            continue
        told = {"user_data": loaded.of(ref)}
        texts = await texts_of(runtime.worker.blobs, runtime.sealer, ref.stream, caller.account_id, told)
        found.append(texts["user_data"])
    return found
