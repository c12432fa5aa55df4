"""What can be asked of a guest's command line."""

import msgspec

from domain.ids import AccountId, JobId, TokenId, VpsId


class RunJob(msgspec.Struct, frozen=True, kw_only=True):
    """Have a command run in a VPS, once."""

    job_id: JobId
    account_id: AccountId
    vps_id: VpsId
    command: str
    timeout_s: int
    token_id: TokenId | None = None
    cwd: str | None = None
    env: dict[str, str] = {}
    stdin: str | None = None
    user: str | None = None
