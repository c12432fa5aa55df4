"""The first start: plans to be bought, templates to make VPSs from, and an operator who can log in."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

import structlog

from api.application.operators import create_account
from api.application.repository import CommandContext, Loaded
from api.application.runtime import Runtime
from domain.accounts import account as accounts
from domain.accounts.emails import email_form
from domain.deciding import NOTHING, Decision, recorded_in
from domain.events import Actor
from domain.ids import PRICING_STREAM, PlanId
from domain.images.commands import DefineSharedTemplate
from domain.images.images import IMAGES, LITE
from domain.images.templates import SHARED_TEMPLATES, offer_shipped
from domain.money import MicroUsd
from domain.pricing.commands import DefinePlan
from domain.pricing.price_book import PRICES, define_plan, evolve
from domain.time import Instant

PLANS = (
    ("Nano", 1, 512, 10, MicroUsd(4_200)),
    ("Micro", 1, 1024, 20, MicroUsd(8_400)),
    ("Small", 2, 2048, 40, MicroUsd(16_800)),
    ("Medium", 4, 4096, 80, MicroUsd(33_600)),
)
"""Name, vCPUs, MiB, GiB, price an hour."""
FULL_IMAGE = "debian-12"
TEMPLATES = (
    DefineSharedTemplate(
        name="ubuntu-22-small",
        description=f"The smallest VPS. It starts Debian 12 ({LITE}): there is no Ubuntu here.",
        image=LITE,
        vcpu=1,
        memory_mb=512,
        disk_gb=10,
    ),
    DefineSharedTemplate(
        name="debian-12-small",
        description=f"Debian 12 without systemd ({LITE}), up within seconds.",
        image=LITE,
        vcpu=1,
        memory_mb=512,
        disk_gb=10,
    ),
    *(
        DefineSharedTemplate(
            name=f"debian-12-{size}",
            description=f"Debian 12 with systemd, apt and cloud-init ({FULL_IMAGE}); {LITE} where no host has that.",
            image=FULL_IMAGE,
            instead=LITE,
            vcpu=vcpu,
            memory_mb=memory_mb,
            disk_gb=disk_gb,
        )
        for size, vcpu, memory_mb, disk_gb in (("medium", 2, 2048, 40), ("large", 4, 4096, 80))
    ),
)
"""Small ones start the lite image, larger ones the full one."""
OPERATOR_FILE = "operator.txt"
SETUP = Actor("service", part="first start")

_log = structlog.get_logger(__name__)


async def ensure_plans(runtime: Runtime) -> None:
    """Offer the plans that ship, if there never was any plan."""

    def decide(loaded: Loaded, now: Instant) -> Decision:
        book = loaded.of(PRICES)
        if book.plans:
            return NOTHING
        events = []
        for name, vcpu, memory_mb, disk_gb, price_hourly in PLANS:
            plan = DefinePlan(PlanId(runtime.ids.new()), name, vcpu, memory_mb, disk_gb, price_hourly)
            for event in define_plan(book, plan, now):
                book = evolve(book, event)
                events.append(event)
        return recorded_in(PRICING_STREAM, *events)

    await runtime.aggregates.execute([PRICES], decide, CommandContext(actor=SETUP, step="plans"))


async def ensure_templates(runtime: Runtime) -> None:
    """Offer the templates that ship, if there never was any."""
    await runtime.aggregates.execute(
        [SHARED_TEMPLATES, IMAGES],
        lambda loaded, now: offer_shipped(loaded.of(SHARED_TEMPLATES), loaded.of(IMAGES), TEMPLATES, now),
        CommandContext(actor=SETUP, step="templates"),
    )


async def ensure_operator(runtime: Runtime) -> Path | None:
    """Have a first operator; return the file with address and password, None where somebody removed it."""
    file = runtime.settings.home_folder / OPERATOR_FILE
    email = runtime.settings.operator_email
    key = runtime.sealer.keyed_hash(accounts.EMAIL_CLAIM, email_form(email))
    if await runtime.store.find_claim(accounts.EMAIL_CLAIM, key) is not None:
        return file if file.exists() else None
    # The file comes first: a crash in between must not leave an account whose password nobody knows.
    if _password_in(file) is None:
        _write_first(file, f"{email}\n{secrets.token_urlsafe(18)}\n")
    password = _password_in(file)
    assert password is not None, f"{file} has no password in its second line: remove it"
    try:
        await create_account(runtime, email, password, ("admin", "finance", "support"))
    except accounts.EmailTaken:
        _log.info("another process made the first operator")
    return file


def _password_in(file: Path) -> str | None:
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return None
    return lines[1] if len(lines) > 1 else None


def _write_first(file: Path, text: str) -> None:
    """Make a file that only its owner may read; what another process made meanwhile stays."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, draft = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    with suppress(FileExistsError):
        os.link(draft, file)
    Path(draft).unlink()
