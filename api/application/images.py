"""Images, as operators ask of them: registered, listed, offered no longer."""

from api.application.operators import OPERATOR
from api.application.repository import CommandContext, Loaded
from api.application.runtime import Runtime
from api.application.worker_context import WorkerContext
from domain.deciding import Decision
from domain.errors import NotFound
from domain.ids import HostId
from domain.images import images as offered
from domain.images.commands import RegisterImage
from domain.images.images import IMAGES, Image
from domain.images.templates import SHARED_TEMPLATES, images_named
from domain.time import Instant


async def register_image(runtime: Runtime, command: RegisterImage) -> Image:
    """Have guests start from an image whose files are there. Raises Invalid."""
    executed = await runtime.aggregates.execute(
        [IMAGES],
        lambda loaded, now: offered.register(loaded.of(IMAGES), command, now),
        CommandContext(actor=OPERATOR, step="register-image"),
    )
    return executed.loaded.of(IMAGES).by_name[command.name]


async def list_images(runtime: Runtime) -> list[Image]:
    """Return all images on offer, the lite one first."""
    return list((await runtime.aggregates.load(IMAGES)).of(IMAGES).on_offer())


async def retire_image(runtime: Runtime, name: str) -> Image:
    """Offer an image no longer, and return what it was. Raises NotFound or ImageInUse."""
    before = (await runtime.aggregates.load(IMAGES)).of(IMAGES).by_name.get(name)
    if before is None:
        raise NotFound
    await runtime.aggregates.execute(
        [IMAGES, SHARED_TEMPLATES],
        lambda loaded, now: offered.retire(loaded.of(IMAGES), name, images_named(loaded.of(SHARED_TEMPLATES)), now),
        CommandContext(actor=OPERATOR, step="retire-image"),
    )
    return before


async def bring_images(worker: WorkerContext, host_id: HostId, keys: frozenset[str]) -> None:
    """Record which images a host has, by the keys of what it has files of."""
    images = (await worker.aggregates.load(IMAGES)).of(IMAGES)
    for image in images.by_name.values():
        if image.key in keys and host_id not in image.host_ids:
            await _bring(worker, image.name, host_id)


async def _bring(worker: WorkerContext, name: str, host_id: HostId) -> None:
    def decide(loaded: Loaded, _now: Instant) -> Decision:
        return offered.bring(loaded.of(IMAGES), name, host_id)

    await worker.record([IMAGES], decide, "bring-image", None)
