"""SSH keys over HTTP."""

from uuid import UUID

import msgspec

from api.http.bridge import NO_CONTENT, Answer, Call, Endpoint, Told, act, paged, told
from api.http.pages import PAGE_HEADERS, Page, made_at
from api.http.rendering import Time
from domain.accounts import ssh_keys
from domain.accounts.commands import AddSshKey, RemoveSshKey
from domain.accounts.public_keys import NotAPublicKey
from domain.errors import NotFound
from domain.ids import SshKeyId
from domain.time import to_rfc3339

_EXAMPLE = {
    "id": "01937b1e-5c00-7000-8000-000000000002",
    "name": "my-key",
    "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEKEYEXAMPLEKEYEXAMPLEKEYEXAMPLEKEYEXA me@laptop",
    "fingerprint": "SHA256:k3JzHDxJ0gKkW6fP4Xh0mUcVdEKQCtJb1b2GdZk8m3I",
    "created_at": "2026-11-23T17:00:00Z",
}


class NewSshKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public key to be kept."""

    name: str
    public_key: str


class SshKeyKept(msgspec.Struct, frozen=True):
    """A public key of the account."""

    id: UUID
    name: str
    public_key: str
    fingerprint: str
    created_at: Time


async def add_ssh_key(call: Call) -> Answer:
    """Keep a key."""
    body: NewSshKey = call.body
    ref = ssh_keys.ssh_keys_ref(call.account_id)
    command = AddSshKey(SshKeyId(call.runtime.ids.new()), body.name, body.public_key)
    return await act(
        call,
        (ref,),
        lambda loaded, now: ssh_keys.add(loaded.of(ref), call.account_id, command, now),
        lambda loaded, _: told(201, _kept(loaded.of(ref).by_id[command.ssh_key_id])),
        "ssh-key",
    )


async def list_ssh_keys(call: Call) -> Answer:
    """Tell the keys of the account, newest first."""
    ref = ssh_keys.ssh_keys_ref(call.account_id)
    keys = (await call.runtime.aggregates.load(ref)).of(ref)
    return paged(call, [(made_at(key.added_at, key.id), _kept(key)) for key in keys.by_id.values()])


async def remove_ssh_key(call: Call) -> Answer:
    """Offer a key no longer; VPSs that were made with it keep it."""
    ref = ssh_keys.ssh_keys_ref(call.account_id)
    command = RemoveSshKey(SshKeyId(call.id_in_path("ssh_key_id")))
    await call.runtime.aggregates.execute(
        (ref,),
        lambda loaded, _: ssh_keys.remove(loaded.of(ref), call.account_id, command),
        call.context("ssh-key"),
    )
    return NO_CONTENT


def _kept(key: ssh_keys.SshKey) -> SshKeyKept:
    return SshKeyKept(key.id, key.name, key.public_key, key.fingerprint, to_rfc3339(key.added_at))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/ssh-keys",
        name="add_ssh_key",
        tag="SSH keys",
        summary="Keep an SSH public key",
        who="account",
        scope="keys",
        handle=add_ssh_key,
        body=NewSshKey,
        body_example={"name": "my-key", "public_key": _EXAMPLE["public_key"]},
        told=(Told(201, "The key, with its fingerprint.", SshKeyKept, _EXAMPLE),),
        refusals=(NotAPublicKey, ssh_keys.SshKeyTaken, ssh_keys.TooManySshKeys),
    ),
    Endpoint(
        method="GET",
        path="/api/ssh-keys",
        name="list_ssh_keys",
        tag="SSH keys",
        summary="Which SSH keys do I have",
        who="account",
        scope="keys",
        handle=list_ssh_keys,
        query=Page,
        told=(Told(200, "The keys, newest first.", list[SshKeyKept], [_EXAMPLE], PAGE_HEADERS),),
    ),
    Endpoint(
        method="DELETE",
        path="/api/ssh-keys/{ssh_key_id}",
        name="remove_ssh_key",
        tag="SSH keys",
        summary="Remove an SSH key",
        description="VPSs that were made with it keep it.",
        who="account",
        scope="keys",
        handle=remove_ssh_key,
        told=(Told(204, "The key is gone."),),
        refusals=(NotFound,),
    ),
)
