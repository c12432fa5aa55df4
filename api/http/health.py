"""Health over HTTP: whether the API is up, whether it is fit to serve, and what it offers."""

import asyncio
from typing import Any

import msgspec

from api.application.refusals import NotReady
from api.application.runtime import Runtime
from api.http.bridge import Answer, Call, Endpoint, Told, told
from domain.compute.ports import HypervisorUnavailable
from domain.ports import StoreFailed, StoreUnavailable

CHECK_TIMEOUT_S = 2.0
VERDICT_KEPT_S = 2.0
"""How long a verdict is told again: anybody may ask, and hosts are not to be asked as often as that."""
LAG_EVENTS_MAX = 10_000
"""How far behind a read model may be for the service to be ready."""


_MAY_WAIT = {"mail"}
_READY = {"status": "ok", "store": "ok", "projections": "ok", "hosts": "ok", "mail": "ok"}


class Healthy(msgspec.Struct, frozen=True):
    """The API is up."""

    status: str


class Ready(msgspec.Struct, frozen=True):
    """Every part is fit to serve."""

    status: str
    store: str
    projections: str
    hosts: str
    mail: str
    """Does not make the service unfit: mail waits, and nothing waits for mail."""


async def health(_call: Call) -> Answer:
    """Tell that the API is up."""
    return told(200, Healthy("ok"))


class Readiness:
    """Whether every part is fit to serve, looked up once for all who ask within a while."""

    def __init__(self) -> None:
        self._looking: asyncio.Task[dict[str, str]] | None = None
        self._good_until_s = 0.0

    async def ready(self, call: Call) -> Answer:
        """Tell whether store, read models and compute hosts are fit to serve, and whether mail can be sent."""
        past = asyncio.get_running_loop().time() >= self._good_until_s
        if self._looking is None or (self._looking.done() and past):
            self._looking = asyncio.create_task(self._look(call.runtime))
        # Shielded, since others wait for it too.
        found = await asyncio.shield(self._looking)
        if any(state != "ok" for part, state in found.items() if part not in _MAY_WAIT):
            raise NotReady(**found)
        return told(200, Ready(status="ok", **found))

    async def _look(self, runtime: Runtime) -> dict[str, str]:
        checks = {"store": _store, "projections": _projections, "hosts": _hosts, "mail": _mail}
        try:
            found = await asyncio.gather(*(_checked(check, runtime) for check in checks.values()))
        finally:
            self._good_until_s = asyncio.get_running_loop().time() + VERDICT_KEPT_S
        return dict(zip(checks, found, strict=True))


async def agent_card(call: Call) -> Answer:
    """Tell programs what this service is and how to begin."""
    url = call.runtime.settings.url
    return told(
        200,
        {
            "name": "LiteVPS",
            "description": "Virtual machines by the minute, prepaid, on a ledger anybody can check.",
            "url": f"{url}/api",
            "version": "1",
            "openapi": f"{url}/openapi.json",
            "authentication": {"schemes": ["bearer"], "login": f"{url}/api/auth/login"},
            "skills": [
                {
                    "id": "create_vps",
                    "name": "Make a VPS",
                    "description": "Make a virtual machine of a plan, and wait until its state is running.",
                    "examples": ["POST /api/vps", "GET /api/vps/{vps_id}"],
                },
                {
                    "id": "exec",
                    "name": "Run a command",
                    "description": "Run a shell command in a VPS and get its output and exit code.",
                    "examples": ["POST /api/vps/{vps_id}/exec"],
                },
            ],
        },
    )


async def _checked(check: Any, runtime: Runtime) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            found: str = await check(runtime)
            return found
    except TimeoutError:
        return "does not answer"
    except StoreUnavailable:
        return "unavailable"
    except StoreFailed:
        return "unable"


async def _store(runtime: Runtime) -> str:
    await runtime.store.head()
    return "ok"


async def _projections(runtime: Runtime) -> str:
    if runtime.read_models is None:
        return "ok"
    head = await runtime.store.head()
    behind = [
        f"{one.name} {'has stopped' if one.failed_at is not None else 'is behind'}"
        for one in await runtime.read_models.progress()
        if one.failed_at is not None or head - one.position > LAG_EVENTS_MAX
    ]
    return ", ".join(behind) or "ok"


async def _hosts(runtime: Runtime) -> str:
    async def answers(host: Any) -> bool:
        try:
            await host.observe()
        except HypervisorUnavailable:
            return False
        return True

    answered = await asyncio.gather(*(answers(host) for host in runtime.worker.hypervisors.values()))
    silent = answered.count(False)
    return "ok" if not silent else f"{silent} of {len(answered)} unavailable"


async def _mail(runtime: Runtime) -> str:
    if runtime.mailer is not None:
        return "ok"
    return f"no mail server is set: {await runtime.alert_work.waiting_mails()} wait"


def endpoints() -> tuple[Endpoint, ...]:
    """Return the endpoints of health; each call has a verdict of its own to keep."""
    return (
        Endpoint(
            method="GET",
            path="/api/health",
            name="health",
            tag="service",
            summary="Is the API up",
            who="public",
            handle=health,
            told=(Told(200, "It is.", Healthy, {"status": "ok"}),),
        ),
        Endpoint(
            method="GET",
            path="/api/ready",
            name="ready",
            tag="service",
            summary="Is every part fit to serve",
            who="public",
            handle=Readiness().ready,
            told=(Told(200, "It is.", Ready, _READY),),
            refusals=(NotReady,),
        ),
        Endpoint(
            method="GET",
            path="/.well-known/agent.json",
            name="agent_card",
            tag="service",
            summary="What is this service",
            who="public",
            handle=agent_card,
            told=(Told(200, "The agent card.", dict[str, Any]),),
        ),
    )
