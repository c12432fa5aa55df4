"""The files of guests on a host elsewhere: made here, and brought there one by one, each whole or not at all."""

import shutil
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath
from typing import Protocol
from uuid import UUID

from adapters.libvirt.domain_xml import BootFiles
from adapters.libvirt.guest_files import make_overlay
from adapters.libvirt.seed import write_seed
from domain.compute.ports import GuestSpec, HypervisorUnavailable
from domain.ids import LedgerId, VpsId

IMAGE_WAIT_S = 40.0
"""How long one call waits for an image that is on its way; it goes on, and the next call finds how far it is."""
_DISK, _SEED, _IMAGE, _LEDGER = "disk.qcow2", "seed.iso", "image", "ledger"


class RemoteMachine(Protocol):
    """A machine elsewhere. Each call blocks, for a bounded time, and raises HypervisorUnavailable."""

    def boot_id(self) -> str:
        """Return what names its present boot."""
        ...

    def names(self, folder: PurePosixPath) -> frozenset[str]:
        """Return the names of what is in a folder; none where there is no such folder."""
        ...

    def read(self, file: PurePosixPath) -> str | None:
        """Return a small file's text; None where there is none."""
        ...

    def put(self, ours: Path, file: PurePosixPath, *, mode: int) -> None:
        """Bring a file there, whole and on disk, with its folder; one that is there stays as it is."""
        ...

    def remove_abandoned(self, folder: PurePosixPath) -> None:
        """Have nothing left in a folder of files whose bringing was broken off long ago."""
        ...

    def remove(self, folder: PurePosixPath) -> None:
        """Have no such folder, whatever is in it."""
        ...


class RemoteHostFiles:
    """Implements ``adapters.libvirt.host_files.HostFiles`` by a machine elsewhere.

    ``folder`` is ours there: ``guests`` and ``images`` are in it. ``our_images``: where images are brought from.
    """

    def __init__(
        self,
        machine: RemoteMachine,
        folder: PurePosixPath,
        our_images: Path,
        images: Mapping[str, str],
        ledger_id: LedgerId | None,
    ) -> None:
        self._machine = machine
        self._guests = folder / "guests"
        self._there = folder / "images"
        self._our_images = our_images
        self._images = images
        self._ledger_id = ledger_id
        self._ledgers: dict[VpsId, str] = {}
        """Whose each guest with files is: that never changes while its folder is there."""
        self._bringing: dict[str, Future[None]] = {}
        """Images that are on their way, each once."""
        self._lock = threading.Lock()

    def ensure_image(self, key: str) -> None:
        """Have an image's files there; several who want it wait for one who brings it."""
        with self._lock:
            bringing = self._bringing.get(key)
            if bringing is None:
                bringing = self._bringing[key] = Future()
                threading.Thread(target=self._bring, args=(key, bringing), name="litevps-image", daemon=True).start()
        try:
            bringing.result(IMAGE_WAIT_S)
        except TimeoutError as late:
            raise HypervisorUnavailable(f"image {key} is still on its way to the host") from late

    def ensure_guest(self, spec: GuestSpec) -> None:
        """Have image, seed and disk there. The disk comes last: once it is there, nothing is touched again."""
        folder = self._guests / str(spec.vps_id)
        if _DISK in self._machine.names(folder):
            return
        key = spec.image_key or self._images.get(spec.image)
        if key is None:
            raise HypervisorUnavailable(f"the host has no image {spec.image}")
        if not spec.host_key_private:
            # It was handed over, so the guest was prepared: an empty disk would pass off loss as a new start.
            raise HypervisorUnavailable("the disk of a guest that was prepared is missing")
        self.ensure_image(key)
        work = Path(tempfile.mkdtemp(prefix="litevps-guest-"))
        try:
            (work / _LEDGER).write_text(str(self._ledger_id or ""))
            (work / _IMAGE).write_text(key)
            write_seed(spec, work / _SEED)
            make_overlay(work / _DISK, base=self._there / key / _DISK, size_gb=spec.disk_gb)
            for name in (_LEDGER, _IMAGE, _SEED, _DISK):
                # Only root may read them there: there are keys in a seed.
                self._machine.put(work / name, folder / name, mode=0o600)
        finally:
            shutil.rmtree(work)

    def ensure_no_guest(self, vps_id: VpsId) -> None:
        """Have no file of the guest."""
        self._machine.remove(self._guests / str(vps_id))
        self._ledgers.pop(vps_id, None)

    def boot_files(self, vps_id: VpsId) -> BootFiles | None:
        """Return what the guest is started from; None where it was not prepared."""
        folder = self._guests / str(vps_id)
        if _DISK not in self._machine.names(folder):
            return None
        key = self._machine.read(folder / _IMAGE)
        if not key:
            raise HypervisorUnavailable("nobody knows upon which image the guest's disk lies")
        image = self._there / key
        has_kernel = "kernel" in self._machine.names(image)
        return BootFiles(
            disk=folder / _DISK,
            base_disk=image / _DISK,
            seed=folder / _SEED,
            kernel=image / "kernel" if has_kernel else None,
            initrd=image / "initrd",
            console_log=folder / "console.log",
        )

    def disk(self, vps_id: VpsId) -> PurePath:
        """Return the guest's own disk."""
        return self._guests / str(vps_id) / _DISK

    def guests(self) -> list[VpsId]:
        """Return the guests that have files; of each it is asked once whose it is."""
        found = []
        for name in self._machine.names(self._guests):
            with suppress(ValueError):
                found.append(VpsId(UUID(name)))
        for vps_id in found:
            if vps_id not in self._ledgers:
                ledger = self._machine.read(self._guests / str(vps_id) / _LEDGER)
                if ledger is not None:
                    self._ledgers[vps_id] = ledger
        self._ledgers = {vps_id: self._ledgers[vps_id] for vps_id in found if vps_id in self._ledgers}
        ours = None if self._ledger_id is None else str(self._ledger_id)
        return [vps_id for vps_id, ledger in self._ledgers.items() if ours in (None, ledger)]

    def boot_id(self) -> str:
        """Return the boot of the host's machine, not of ours."""
        return self._machine.boot_id()

    def _bring(self, key: str, brought: "Future[None]") -> None:
        try:
            if not (self._our_images / key / _DISK).is_file():
                raise HypervisorUnavailable(f"there are no files of image {key} to be brought to the host")
            there = self._machine.names(self._there / key)
            if any(name.endswith(".part") for name in there):
                # Over a slow line an image is given up and begun anew: each time as much would be left as had come.
                self._machine.remove_abandoned(self._there / key)
            for file in sorted((self._our_images / key).iterdir()):
                if not file.name.startswith(".") and file.name not in there:
                    self._machine.put(file, self._there / key / file.name, mode=0o644)
        except BaseException as failed:  # noqa: BLE001 It is raised where it is waited for.
            brought.set_exception(failed)
        else:
            brought.set_result(None)
        finally:
            with self._lock:
                del self._bringing[key]
