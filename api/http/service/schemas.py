"""What requests about the service itself tell."""

from typing import Any

import msgspec

from api.application.readiness import Parts

READY_EXAMPLE = {"status": "ok", "store": "ok", "projections": "ok", "hosts": "ok", "mail": "ok"}


class Healthy(msgspec.Struct, frozen=True):
    """The API is up."""

    status: str


class Ready(msgspec.Struct, frozen=True):
    """Every part is fit to serve."""

    status: str
    store: str
    projections: str
    hosts: str
    mail: str
    """Does not make the service unfit: mail waits, and nothing waits for mail."""

    @classmethod
    def of(cls, parts: Parts) -> "Ready":
        """Return parts that are fit as they are told."""
        return cls("ok", parts.store, parts.projections, parts.hosts, parts.mail)


def agent_card(url: str) -> dict[str, Any]:
    """Return what programs are told of a service at ``url`` and of how to begin."""
    return {
        "name": "LiteVPS",
        "description": "Virtual machines by the minute, prepaid, on a ledger anybody can check.",
        "url": f"{url}/api",
        "version": "1",
        "openapi": f"{url}/openapi.json",
        "authentication": {"schemes": ["bearer"], "login": f"{url}/api/auth/login"},
        "skills": [
            {
                "id": "create_vps",
                "name": "Make a VPS",
                "description": "Make a virtual machine of a plan, and wait until its state is running.",
                "examples": ["POST /api/vps", "GET /api/vps/{vps_id}"],
            },
            {
                "id": "exec",
                "name": "Run a command",
                "description": "Run a shell command in a VPS and get its output and exit code.",
                "examples": ["POST /api/vps/{vps_id}/exec"],
            },
        ],
    }
