"""`litevps host`: the embedded host, which goes on when the service ends."""

import asyncio

import click

from api.application.settings import SettingsInForce
from api.bootstrap.hosts import embedded_host, observe_embedded_host
from api.bootstrap.networks import remove_network
from api.bootstrap.runtime import hosts_taken
from api.cli.flags import with_settings
from api.cli.output import Form, print_result, with_form
from api.cli.sessions import print_progress


@click.group()
def host() -> None:
    """The embedded host of the home folder."""


@host.command()
@click.option("--force", is_flag=True, help="Even while a service runs on it: its customers' guests are cut off.")
@with_settings()
def stop(in_force: SettingsInForce, force: bool) -> None:
    """End the host and every guest on it, unless a service runs on it. Their disks stay."""
    home = in_force.settings.home_folder
    embedded = embedded_host(in_force.settings, None, print_progress)
    if not embedded.guests.parent.is_dir():
        raise click.ClickException(f"there is no embedded host in {home}: give the --home of the one to stop")
    with hosts_taken(home) as in_use:
        if in_use and not force:
            raise click.ClickException(
                f"a service runs on the host of {home}, and its customers' guests would be cut off:"
                " end the service first, or give --force"
            )
        embedded.stop(kill_guests=True)
        remove_network(in_force.settings)
    print_progress("stopped")


@host.command()
@with_form
@with_settings()
def status(in_force: SettingsInForce, form: Form) -> None:
    """Show the guests on the host; ends with 1 where it does not run."""
    seen = asyncio.run(observe_embedded_host(in_force.settings))
    if seen is None:
        raise click.ClickException(f"the host of {in_force.settings.home_folder} does not run")
    guests = [
        {"vps_id": str(guest.vps_id), "generation": guest.generation, "running": guest.running} for guest in seen.guests
    ]
    rows = [
        (str(guest.vps_id), str(guest.generation), "running" if guest.running else "off", f"{guest.cpu_ns / 1e9:.1f}")
        for guest in seen.guests
    ]
    print_result(form, {"boot_id": seen.boot_id, "guests": guests}, ("VPS", "GENERATION", "STATE", "CPU SECONDS"), rows)
