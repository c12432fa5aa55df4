"""`litevps host`: the embedded host, which goes on when the service ends."""

import asyncio

import click

from api.bootstrap_hosts import embedded_host, observe_embedded_host
from api.cli.flags import with_settings
from api.cli.opening import say
from api.cli.output import Form, tell, with_form
from api.settings import Loaded


@click.group()
def host() -> None:
    """The embedded host of the home folder."""


@host.command()
@with_settings()
def stop(loaded: Loaded) -> None:
    """End the host and every guest on it. Their disks stay; a service that runs starts it again."""
    embedded_host(loaded.settings, None, say).stop(kill_guests=True)
    say("stopped")


@host.command()
@with_form
@with_settings()
def status(loaded: Loaded, form: Form) -> None:
    """Show the guests on the host; ends with 1 where it does not run."""
    seen = asyncio.run(observe_embedded_host(loaded.settings))
    if seen is None:
        raise click.ClickException("the host does not run")
    guests = [
        {"vps_id": str(guest.vps_id), "generation": guest.generation, "running": guest.running} for guest in seen.guests
    ]
    rows = [
        (str(guest.vps_id), str(guest.generation), "running" if guest.running else "off", f"{guest.cpu_ns / 1e9:.1f}")
        for guest in seen.guests
    ]
    tell(form, {"boot_id": seen.boot_id, "guests": guests}, ("VPS", "GENERATION", "STATE", "CPU SECONDS"), rows)
