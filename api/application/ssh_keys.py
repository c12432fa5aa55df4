"""The SSH keys of an account: kept, told and removed, whoever asks."""

from api.application.caller import Caller
from api.application.once import Once
from api.application.runtime import Runtime
from domain.accounts import ssh_keys
from domain.accounts.commands import AddSshKey, RemoveSshKey
from domain.accounts.ssh_keys import SshKey, ssh_keys_ref

_STEP = "ssh-key"


async def add_ssh_key(runtime: Runtime, caller: Caller, command: AddSshKey, once: Once[SshKey] | None = None) -> SshKey:
    """Keep a public key and return it. Raises Invalid, NotAPublicKey, SshKeyTaken, TooManySshKeys or Contended."""
    ref = ssh_keys_ref(caller.account_id)
    executed = await runtime.aggregates.execute(
        (ref,),
        lambda loaded, now: ssh_keys.add(loaded.of(ref), caller.account_id, command, now),
        caller.context(_STEP),
        result=lambda decided: decided.loaded.of(ref).by_id[command.ssh_key_id],
        once=once,
    )
    return executed.result


async def list_ssh_keys(runtime: Runtime, caller: Caller) -> list[SshKey]:
    """Return the keys of the account, oldest first."""
    ref = ssh_keys_ref(caller.account_id)
    return list((await runtime.aggregates.load(ref)).of(ref).by_id.values())


async def remove_ssh_key(runtime: Runtime, caller: Caller, command: RemoveSshKey) -> None:
    """Offer a key no longer; VPSs that were made with it keep it. Raises NotFound or Contended."""
    ref = ssh_keys_ref(caller.account_id)
    await runtime.aggregates.execute(
        (ref,),
        lambda loaded, _now: ssh_keys.remove(loaded.of(ref), caller.account_id, command),
        caller.context(_STEP),
    )
