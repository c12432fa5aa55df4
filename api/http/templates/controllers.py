"""Templates over HTTP."""

from litestar import Controller, delete, get, post
from litestar.params import FromPath, RequestBody

from api.application.templates import (
    TemplateView,
    define_template,
    get_template,
    list_templates,
    remove_template,
)
from api.http.openapi.docs import Docs
from api.http.pages import PAGE_HEADERS, Page, made_at, paged
from api.http.pipeline.idempotency import once
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse, created, ok
from api.http.templates.schemas import EXAMPLE, NewTemplate, TemplateResponse
from domain.errors import Contended, NotFound
from domain.images.templates import TemplateIsShared, TemplateNameTaken, TooManyTemplates, TooManyTemplatesToday

BODY_BYTES_MAX = 512 * 1024
_OWN = {"name": "worker", "description": "Takes jobs from the queue.", "user_data": "#!/bin/sh\ntrue\n"}
_OWN_EXAMPLE = EXAMPLE | _OWN
_NAME = {"name": {"type": "string", "example": "ubuntu-22-small"}}


class TemplatesController(Controller):
    """What VPSs can be made as by a name: what is offered to everybody, and an account's own."""

    path = "/api/templates"
    tags = ["Templates"]
    opt = {"scope": "vps:write"}

    @post(
        operation_id="define_template",
        summary="Keep a template",
        request_max_body_size=BODY_BYTES_MAX,
        docs=Docs(
            "The template.",
            _OWN_EXAMPLE,
            refuses=(TemplateNameTaken, TooManyTemplates, TooManyTemplatesToday, Contended),
            body_example=_OWN_EXAMPLE,
        ),
    )
    async def define(self, request: ApiRequest, data: RequestBody[NewTemplate]) -> ApiResponse[TemplateResponse]:
        """Keep a template of one's own."""
        runtime, caller, wanted = request.runtime, request.caller, data.to_command()
        return await once(
            request,
            lambda kept: define_template(runtime, caller, wanted, kept),
            lambda view: created(TemplateResponse.of(view)),
        )

    @get(
        operation_id="list_templates",
        summary="Which templates are there",
        scope="vps:read",
        query=Page,
        docs=Docs("Those that are offered to everybody, and one's own; newest first.", [EXAMPLE], PAGE_HEADERS),
    )
    async def list_all(self, request: ApiRequest) -> ApiResponse[list[TemplateResponse]]:
        """Tell what VPSs can be made from, newest first."""
        views = await list_templates(request.runtime, request.caller)
        return paged(request, [(_place(view), TemplateResponse.of(view)) for view in views])

    @get(
        "/{name:str}",
        operation_id="get_template",
        summary="What does this template say",
        scope="vps:read",
        docs=Docs("The template.", EXAMPLE, refuses=(NotFound,), path_schemas=_NAME),
    )
    async def get_one(self, request: ApiRequest, name: FromPath[str]) -> ApiResponse[TemplateResponse]:
        """Tell one template."""
        return ok(TemplateResponse.of(await get_template(request.runtime, request.caller, name)))

    @delete(
        "/{name:str}",
        operation_id="remove_template",
        summary="Remove a template",
        description="VPSs that were made from it stay as they are.",
        docs=Docs("The template is gone.", refuses=(NotFound, TemplateIsShared, Contended), path_schemas=_NAME),
    )
    async def remove(self, request: ApiRequest, name: FromPath[str]) -> None:
        """Keep a template no longer."""
        await remove_template(request.runtime, request.caller, name)


def _place(view: TemplateView) -> str:
    return made_at(view.template.defined_at, view.template.name.replace(".", "_"))
