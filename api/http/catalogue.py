"""The catalogue of every endpoint there is."""

from api.http import accounts, health, pricing, ssh_keys, vps
from api.http import exec as exec_
from api.http.endpoint import Endpoint
from api.settings import Settings


def endpoints(settings: Settings) -> tuple[Endpoint, ...]:
    """Return every endpoint, in the order of the document."""
    return (
        *accounts.endpoints(settings),
        *pricing.ENDPOINTS,
        *ssh_keys.ENDPOINTS,
        *vps.ENDPOINTS,
        *exec_.ENDPOINTS,
        *health.ENDPOINTS,
    )
