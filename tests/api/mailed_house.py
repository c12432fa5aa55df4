"""A house with a folder for its mail, a clock that stands still, and a customer who is told of everything."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
from httpx import Response

from adapters.mail.folder import FolderMailer
from adapters.simulated.clock import ManualClock
from adapters.turnstile import TEST_TOKEN
from api.application.metering import settle_account
from api.application.repository import AggregateRepository, CommandContext, Loaded
from api.application.runtime import Runtime
from api.workers.mail import send_due_mail
from api.workers.reconciler import Reconciler
from domain.alerts.alerts import Alerts, alerts_ref
from domain.codec import decode
from domain.compute.events import StopReason
from domain.compute.vps import request_stop, vps_ref
from domain.deciding import Decision, recorded_in
from domain.events import Actor, Event
from domain.ids import VpsId
from domain.time import Instant
from tests.api.houses import Customer, House, house
from tests.contracts.mailers import parsed
from tests.databases import Databases

ALERTS_PATH = "/api/billing/alerts"
VERIFY_PATH = "/api/auth/verify-email"
OPS = "ops@example.com"


class Mailed(msgspec.Struct, eq=False):
    """A house, its clock, its folder of mail, and a customer."""

    house: House
    clock: ManualClock
    folder: Path
    ann: Customer

    async def mails(self) -> list[EmailMessage]:
        """Have what is due sent; return all mail so far."""
        await send_due_mail(self.house.runtime)
        return self.in_folder()

    async def forget_mails(self) -> None:
        """Have what is due sent, and forget all mail so far."""
        await send_due_mail(self.house.runtime)
        for file in self.folder.iterdir():
            file.unlink()

    def in_folder(self) -> list[EmailMessage]:
        """Return all mail so far, the oldest first."""
        return [parsed(file.read_bytes()) for file in sorted(self.folder.glob("*.eml"))]

    def file_names(self) -> list[str]:
        """Return the names of all that is in the folder."""
        return sorted(file.name for file in self.folder.iterdir())

    async def code(self) -> str:
        """Return the code that was mailed last."""
        return code_in((await self.mails())[-1])

    async def ask_for_code(self, path: str, email: str, **headers: str) -> Response:
        """Ask, as anybody can, for a code to be mailed to an address."""
        body = {"email": email, "cf-turnstile-response": TEST_TOKEN}
        return await self.house.client.post(path, json=body, headers=headers)

    async def show(self, code: str) -> int:
        """Show a code; return the status."""
        return (await self.house.client.post(VERIFY_PATH, json={"code": code})).status_code

    async def watch(self, *thresholds: float) -> None:
        """Have the customer told at these thresholds, and forget the mail with the code."""
        await self.ann.ask("PUT", ALERTS_PATH, json={"email": OPS, "thresholds": thresholds})
        assert await self.show(await self.code()) == 204
        await self.forget_mails()

    async def vps(self, name: str = "web-01") -> VpsId:
        """Have a VPS that is being made."""
        made = await self.ann.ask("POST", "/api/vps", json={"name": name, "plan_id": await self.house.nano()})
        assert made.status_code == 201, made.text
        return VpsId(UUID(made.json()["id"]))

    async def stop(self, vps_id: VpsId, reason: StopReason) -> None:
        """Record that a VPS is to stop for a reason."""
        await stop_vps(self.ann, vps_id, reason)

    async def tick(self) -> None:
        """Look at the host, and settle what is due."""
        runtime = self.house.runtime
        await Reconciler(runtime.worker).reconcile()
        await settle_account(runtime.aggregates, self.ann.id)

    async def alerts(self) -> Alerts:
        """Return the customer's alerts as they are recorded."""
        ref = alerts_ref(self.ann.id)
        return (await self.another_process().aggregates.load(ref)).of(ref)

    async def recorded(self, *kinds: type[Event]) -> Sequence[Event]:
        """Return events of these kinds, personal fields sealed."""
        events = [decode(one) for one in await self.house.runtime.store.read_feed(0, 100_000)]
        return [event for event in events if isinstance(event, kinds)]

    def another_process(self) -> Runtime:
        """Return what a process over the same store has that has just started."""
        runtime, storage = self.house.runtime, self.house.storage
        assert storage is not None
        worker = msgspec.structs.replace(runtime.worker, leases=storage.leases(uuid4()))
        return msgspec.structs.replace(
            runtime,
            aggregates=AggregateRepository(runtime.store, runtime.sealer, runtime.clock, runtime.ids),
            worker=worker,
        )


@asynccontextmanager
async def mailed_house(databases: Databases, folder: Path) -> AsyncIterator[Mailed]:
    """Make such a house."""
    clock = ManualClock()
    async with house(databases, clock=clock) as made:
        made.runtime = msgspec.structs.replace(made.runtime, mailer=FolderMailer(folder, clock))
        mailed = Mailed(made, clock, folder, await made.register("ann@example.com"))
        await mailed.forget_mails()
        yield mailed


async def stop_vps(owner: Customer, vps_id: VpsId, reason: StopReason) -> None:
    """Record that a VPS is to stop for a reason."""
    ref = vps_ref(vps_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        vps = loaded.of(ref)
        assert vps is not None
        return recorded_in(ref.stream, *request_stop(vps, reason, now))

    context = CommandContext(actor=Actor("service", part="test"), account_id=owner.id)
    await owner.house.runtime.aggregates.execute([ref], decide, context)


def code_in(mail: EmailMessage) -> str:
    """Return the code that a mail brings."""
    found = re.search(r"^    ([a-z2-7]{52})\r?$", mail.get_content(), re.MULTILINE)
    assert found is not None, mail.get_content()
    return found[1]


def flat(mail: EmailMessage) -> str:
    """Return the text of a mail, however its lines are broken."""
    return " ".join(mail.get_content().split())
