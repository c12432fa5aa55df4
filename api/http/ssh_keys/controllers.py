"""SSH keys over HTTP."""

from litestar import Controller, delete, get, post
from litestar.params import FromPath, RequestBody

from api.application.ssh_keys import add_ssh_key, list_ssh_keys, remove_ssh_key
from api.http.openapi.docs import Docs
from api.http.pages import PAGE_HEADERS, Page, made_at, paged
from api.http.pipeline.idempotency import once
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse, created
from api.http.ssh_keys.schemas import EXAMPLE, NewSshKey, SshKeyResponse
from domain.accounts.commands import RemoveSshKey
from domain.accounts.public_keys import NotAPublicKey
from domain.accounts.ssh_keys import SshKeyTaken, TooManySshKeys
from domain.errors import NotFound
from domain.ids import SshKeyId


class SshKeysController(Controller):
    """The SSH keys of an account, which its new VPSs can be made with."""

    path = "/api/ssh-keys"
    tags = ["SSH keys"]
    opt = {"scope": "keys"}

    @post(
        operation_id="add_ssh_key",
        summary="Keep an SSH public key",
        docs=Docs(
            "The key, with its fingerprint.",
            EXAMPLE,
            refuses=(NotAPublicKey, SshKeyTaken, TooManySshKeys),
            body_example={"name": "my-key", "public_key": EXAMPLE["public_key"]},
        ),
    )
    async def add(self, request: ApiRequest, data: RequestBody[NewSshKey]) -> ApiResponse[SshKeyResponse]:
        """Keep a key."""
        runtime, caller = request.runtime, request.caller
        command = data.to_command(SshKeyId(runtime.ids.new()))
        return await once(
            request,
            lambda kept: add_ssh_key(runtime, caller, command, kept),
            lambda key: created(SshKeyResponse.of(key)),
        )

    @get(
        operation_id="list_ssh_keys",
        summary="Which SSH keys do I have",
        query=Page,
        docs=Docs("The keys, newest first.", [EXAMPLE], PAGE_HEADERS),
    )
    async def list_all(self, request: ApiRequest) -> ApiResponse[list[SshKeyResponse]]:
        """Tell the keys of the account, newest first."""
        keys = await list_ssh_keys(request.runtime, request.caller)
        return paged(request, [(made_at(key.added_at, key.id), SshKeyResponse.of(key)) for key in keys])

    @delete(
        "/{ssh_key_id:str}",
        operation_id="remove_ssh_key",
        summary="Remove an SSH key",
        description="VPSs that were made with it keep it.",
        docs=Docs("The key is gone.", refuses=(NotFound,)),
    )
    async def remove(self, request: ApiRequest, ssh_key_id: FromPath[SshKeyId]) -> None:
        """Offer a key no longer."""
        await remove_ssh_key(request.runtime, request.caller, RemoveSshKey(ssh_key_id))
