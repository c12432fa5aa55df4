"""Mail: what is to be told is raised, and what waits to be sent is sent."""

from api.application.alerts.evaluation import raise_due
from api.application.alerts.sending import send_due
from api.application.runtime import Runtime

EVERY_S = 2.0


async def send_due_mail(runtime: Runtime) -> None:
    """Raise and send everything that is due. Raises StoreUnavailable."""
    await raise_due(runtime)
    await send_due(runtime)
