"""The program `litevps`: every command by its name, and what a refusal looks like."""

import gc
import sys

import click

from api.bootstrap.logs import configure_logs
from api.cli.accounts import account
from api.cli.audit import audit
from api.cli.database import config, migrate, rebuild
from api.cli.demo import demo
from api.cli.doctor import doctor
from api.cli.error_handling import ReportsErrors
from api.cli.fleet import drain, label, list_hosts, overcommit, show, undrain
from api.cli.hosts import host
from api.cli.images import image
from api.cli.keys import keys
from api.cli.limits import limit
from api.cli.serve import api, serve, work
from api.cli.settings import settings
from api.cli.templates import template
from domain.errors import Refusal


@click.group(cls=ReportsErrors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="litevps")
def litevps() -> None:
    """Virtual machines by the minute, prepaid, on a ledger that anybody can check."""


for command in (
    serve,
    api,
    work,
    migrate,
    account,
    rebuild,
    audit,
    config,
    doctor,
    demo,
    host,
    image,
    template,
    settings,
    keys,
):
    litevps.add_command(command)
account.add_command(limit)
for command in (list_hosts, show, drain, undrain, label, overcommit):
    host.add_command(command)


def main() -> None:
    """Run the command that was typed; a refusal is told in its own words, and ends with 1."""
    configure_logs()
    # Most of what is made lives for one batch or for ever: to look for cycles among it all the time finds none.
    gc.set_threshold(50_000, 20, 100)
    try:
        litevps()
    except Refusal as refusal:
        facts = "; ".join(_formatted(name, fact) for name, fact in refusal.facts.items())
        click.echo(f"Error: {refusal.sentence}" + (f" ({facts})" if facts else ""), err=True)
        sys.exit(1)


def _formatted(name: str, fact: object) -> str:
    if isinstance(fact, dict):
        return "; ".join(f"{key}: {value}" for key, value in fact.items())
    return f"{name}: {fact}"


if __name__ == "__main__":
    main()
