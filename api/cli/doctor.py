"""`litevps doctor`: what keeps the service from running here, or from running well, and what helps."""

import asyncio
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import click
import httpx
import msgspec
import psycopg

from api.application.settings import Settings, SettingsInForce, SettingsRefused, check_servable
from api.bootstrap.hosts import EMBEDDED, SIMULATED, kvm_found_out
from api.bootstrap.mail import FOLDER, mail_server
from api.bootstrap.payments import STAND_IN_PREFIX, has_stand_in, stripe_answers
from api.cli.flags import with_settings
from api.cli.output import Form, print_result, with_form

FREE_BYTES_MIN = 3 * 1024**3
"""For the image, the database and a few guests."""
PROGRAMS = ("libvirtd", "virtlogd", "qemu-system-x86_64", "qemu-img")
ANSWER_TIMEOUT_S = 5

Verdict = Literal["ok", "note", "bad"]


class Symptom(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    verdict: Verdict
    what: str
    told: str


@click.command()
@with_form
@with_settings()
def doctor(in_force: SettingsInForce, form: Form) -> None:
    """Look for what keeps the service from running here. Ends with 0 only if nothing does."""
    found = list(_examine(in_force.settings))
    rows = [(symptom.verdict, symptom.what, symptom.told) for symptom in found]
    print_result(form, found, ("", "WHAT", "FOUND"), rows)
    if any(symptom.verdict == "bad" for symptom in found):
        raise SystemExit(1)


def _examine(settings: Settings) -> Iterator[Symptom]:
    yield _settings(settings)
    yield _disk(settings.home_folder)
    if settings.master_key is settings.master_key_file is None:
        yield _master_key(settings.home_folder / "master.key")
    if settings.database_url is not None:
        yield _database(settings.database_url)
    if settings.compute == EMBEDDED:
        yield _programs()
    if settings.compute != SIMULATED:
        yield _kvm(settings)
    yield _stripe(settings)
    yield _mail(settings)
    yield _service(settings.url)


def _settings(settings: Settings) -> Symptom:
    try:
        check_servable(settings)
    except SettingsRefused as refused:
        # Also for whoever only tries it, without secrets: what is told is how `serve` with the same flags ends.
        return Symptom("bad", "settings", str(refused))
    return Symptom("ok", "settings", "development mode" if settings.development else "production")


def _disk(home: Path) -> Symptom:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free_bytes = shutil.disk_usage(there).free
    told = f"{free_bytes / 1024**3:.1f} GiB free for {home}"
    if not os.access(there, os.W_OK):
        return Symptom("bad", "home", f"{there} cannot be written: choose another with --home")
    return Symptom("ok" if free_bytes >= FREE_BYTES_MIN else "bad", "home", told)


def _master_key(file: Path) -> Symptom:
    if not file.exists():
        return Symptom("note", "master key", f"{file} is made at the first start")
    if file.stat().st_mode & 0o077:
        return Symptom("bad", "master key", f"others may read {file}: chmod 600 it")
    return Symptom("ok", "master key", str(file))


def _database(url: str) -> Symptom:
    try:
        with psycopg.connect(url, connect_timeout=ANSWER_TIMEOUT_S) as connection:
            row = connection.execute("SELECT position FROM ledger.head").fetchone()
    except psycopg.errors.UndefinedTable:
        return Symptom("bad", "database", "there is no ledger in it: run litevps migrate")
    except psycopg.Error as problem:
        return Symptom("bad", "database", str(problem))
    return Symptom("ok", "database", f"{row[0] if row else 0} events")


def _programs() -> Symptom:
    search = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=search) is None]
    if missing:
        return Symptom(
            "bad", "host", f"{', '.join(missing)} missing: apt install libvirt-daemon-system qemu-system-x86"
        )
    return Symptom("ok", "host", "every program is there")


def _kvm(settings: Settings) -> Symptom:
    device = Path("/dev/kvm")
    if (found := kvm_found_out(settings)) is not None:
        usable, told = found
        return Symptom("ok" if usable else "note", "KVM", f"guests run by {told}")
    if not device.exists():
        return Symptom("note", "KVM", "no /dev/kvm: guests are emulated, and slow")
    return Symptom("ok", "KVM", "/dev/kvm is there; whether it works is tried at the start")


def _mail(settings: Settings) -> Symptom:
    try:
        server = mail_server(settings)
    except SettingsRefused as refused:
        return Symptom("bad", "mail", str(refused))
    if server is None:
        if settings.development:
            return Symptom("ok", "mail", f"goes to {settings.home_folder / FOLDER}")
        return Symptom("note", "mail", "LITEVPS_SMTP_URL is not set: mail waits until it is")
    host, port = server
    try:
        socket.create_connection(server, timeout=ANSWER_TIMEOUT_S).close()
    except OSError as problem:
        return Symptom("bad", "mail", f"{host}:{port} does not answer: {problem}")
    return Symptom("ok", "mail", f"{host}:{port} answers")


def _stripe(settings: Settings) -> Symptom:
    if has_stand_in(settings):
        return Symptom("ok", "Stripe", f"what stands in for it is served under {settings.url}{STAND_IN_PREFIX}")
    if settings.stripe_secret_key is None:
        return Symptom("note", "Stripe", "LITEVPS_STRIPE_SECRET_KEY is not set")
    problem = asyncio.run(stripe_answers(settings))
    return Symptom("ok", "Stripe", "answers") if problem is None else Symptom("bad", "Stripe", problem)


def _service(url: str) -> Symptom:
    try:
        response = httpx.get(f"{url}/api/ready", timeout=ANSWER_TIMEOUT_S)
    except httpx.HTTPError:
        return Symptom("note", "service", f"nothing answers at {url}")
    return Symptom("ok" if response.status_code == 200 else "bad", "service", response.text)
