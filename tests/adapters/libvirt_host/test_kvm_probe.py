"""The probe for KVM: tried by booting, once a boot of the machine."""

from pathlib import Path

import msgspec
import pytest

from adapters.guest_image.builder import GuestImage
from adapters.libvirt_host.kvm_probe import KvmVerdict, probe_kvm

pytestmark = pytest.mark.host

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_what_was_found_out_holds_until_the_machine_is_booted_again(guest_image: GuestImage, tmp_path: Path) -> None:
    cache = tmp_path / "kvm.json"
    known = KvmVerdict(usable=True, reason="as remembered", boot_id=BOOT_ID)
    cache.write_bytes(msgspec.json.encode(known))
    assert probe_kvm(guest_image.kernel, guest_image.initrd, cache=cache) == known
    cache.write_bytes(msgspec.json.encode(msgspec.structs.replace(known, boot_id="another")))
    again = probe_kvm(guest_image.kernel, guest_image.initrd, cache=cache)
    assert again.boot_id == BOOT_ID
    assert again.reason != "as remembered"


def test_a_kernel_that_does_not_boot_is_no_kvm_and_the_reason_is_told(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"\0" * 4096)
    verdict = probe_kvm(nothing, nothing, cache=tmp_path / "kvm.json")
    assert not verdict.usable
    assert verdict.reason
