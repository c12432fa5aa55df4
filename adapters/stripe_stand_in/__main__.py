"""Serves the stand-in on a loopback port of its own: `python -m adapters.stripe_stand_in --help`."""

from pathlib import Path

import click
import uvicorn

from adapters.stripe_stand_in.application import StripeStandIn

LOOPBACK = "127.0.0.1"


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=12111, show_default=True, help="Port on 127.0.0.1.")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="SQLite file; made if it is not there.")
@click.option("--webhook", "webhook_url", help="Where events are delivered; without it they wait.")
@click.option("--webhook-secret", envvar="LITEVPS_STRIPE_WEBHOOK_SECRET", help="Signs events; random if not given.")
@click.option("--api-key", envvar="LITEVPS_STRIPE_SECRET_KEY", help="The only key that is accepted; any if not given.")
@click.option("--public-url", help="Where browsers reach it.")
def main(
    port: int,
    state: Path,
    webhook_url: str | None,
    webhook_secret: str | None,
    api_key: str | None,
    public_url: str | None,
) -> None:
    """Serve Stripe's API, the checkout page and the dashboard until told to end."""
    url = public_url or f"http://{LOOPBACK}:{port}"
    stand_in = StripeStandIn(
        state, public_url=url, webhook_url=webhook_url, webhook_secret=webhook_secret, api_key=api_key
    )
    click.echo(f"A stand-in for Stripe at {url}, webhook secret {stand_in.webhook_secret}", err=True)
    uvicorn.run(stand_in, host=LOOPBACK, port=port, log_level="warning")


if __name__ == "__main__":
    main()
