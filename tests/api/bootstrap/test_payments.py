"""A command that was given no key of Stripe's asks Stripe nothing: what goes back is left to the service."""

from pathlib import Path

import msgspec
import pytest

from api.application.settings import Settings
from api.bootstrap import runtime as bootstrap
from api.bootstrap.runtime import Database
from tests.api.houses import ROOMY

pytestmark = pytest.mark.anyio

NO_KEY = msgspec.structs.replace(ROOMY, development=False, stripe_secret_key=None, compute="simulated")


@pytest.mark.parametrize(
    ("settings", "asks"),
    [
        (NO_KEY, False),
        (msgspec.structs.replace(NO_KEY, stripe_secret_key="sk_live_1"), True),
        (msgspec.structs.replace(NO_KEY, development=True), True),
    ],
    ids=["no key", "a key", "the stand-in"],
)
async def test_whoever_has_no_key_pays_nothing_back(
    settings: Settings, asks: bool, database_url: str, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(settings, home=str(tmp_path))
    database = Database(database_url, None)
    async with bootstrap.opened_runtime(settings, database, with_hosts=False, on_progress=lambda _: None) as runtime:
        assert (runtime.refund_all is not None) is asks
