"""Readiness: whether every part of the service is fit to serve."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from api.application.refusals import NotReady
from api.application.runtime import Runtime
from domain.compute.ports import HypervisorUnavailable
from domain.ports import StoreFailed, StoreUnavailable

CHECK_TIMEOUT_S = 2.0
HOST_TIMEOUT_S = 1.5
"""A host that takes longer counts as silent, and keeps no other from being counted."""
VERDICT_KEPT_S = 2.0
"""How long a verdict is told again: anybody may ask, and hosts are not to be asked as often as that."""
LAG_EVENTS_MAX = 10_000
"""How far behind a read model may be for the service to be ready."""


class Parts(msgspec.Struct, frozen=True):
    """What is found of each part: ``ok``, or what is wrong with it; ``ok, …`` where it is fit all the same."""

    store: str
    projections: str
    hosts: str
    mail: str
    """Does not make the service unfit: mail waits, and nothing waits for mail."""

    @property
    def are_fit(self) -> bool:
        """Return whether the service is fit to serve."""
        return self.store == self.projections == "ok" and self.hosts.startswith("ok")


class Readiness:
    """Whether every part is fit to serve, looked up once for all who ask within a while."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._looking: asyncio.Task[Parts] | None = None
        self._good_until_s = 0.0

    async def check(self) -> Parts:
        """Return what is found of store, read models, compute hosts and mail. Raises NotReady where they are unfit."""
        past = asyncio.get_running_loop().time() >= self._good_until_s
        if self._looking is None or (self._looking.done() and past):
            self._looking = asyncio.create_task(self._look())
        # Shielded, since others wait for it too.
        found = await asyncio.shield(self._looking)
        if not found.are_fit:
            raise NotReady(**msgspec.structs.asdict(found))
        return found

    async def _look(self) -> Parts:
        try:
            return Parts(*await asyncio.gather(*(_checked(one, self._runtime) for one in _CHECKS)))
        finally:
            self._good_until_s = asyncio.get_running_loop().time() + VERDICT_KEPT_S


async def _checked(check: Callable[[Runtime], Awaitable[str]], runtime: Runtime) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check(runtime)
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
            async with asyncio.timeout(HOST_TIMEOUT_S):
                await host.observe()
        except (HypervisorUnavailable, TimeoutError):
            return False
        return True

    answered = await asyncio.gather(*(answers(host) for host in runtime.worker.hypervisors.values()))
    silent = answered.count(False)
    if not silent:
        return "ok"
    told = f"{silent} of {len(answered)} unavailable"
    # One host that is gone takes its own VPSs with it, not the service.
    return told if silent == len(answered) else f"ok, {told}"


async def _mail(runtime: Runtime) -> str:
    if runtime.mailer is not None:
        return "ok"
    return f"no mail server is set: {await runtime.alert_work.waiting_mails()} wait"


_CHECKS = (_store, _projections, _hosts, _mail)
"""In the order of the parts."""
