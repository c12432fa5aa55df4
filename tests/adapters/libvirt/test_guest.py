"""A guest on a real host, from nothing to SSH and back to nothing."""

from pathlib import Path

import pytest

from adapters.guest_image.builder import GuestImage
from adapters.libvirt.hypervisor import LibvirtHypervisor
from adapters.libvirt_host.host import EmbeddedHost
from tests.guests import Login, guest_spec, new_key_pair

pytestmark = [pytest.mark.anyio, pytest.mark.host]


async def test_a_guest_boots_as_it_was_asked_for(hypervisor: LibvirtHypervisor, tmp_path: Path) -> None:
    host_key, me = new_key_pair(), new_key_pair()
    spec = guest_spec(host_key, me, hostname="web-1", disk_gb=3)
    await hypervisor.ensure_prepared(spec)
    await hypervisor.ensure_running(spec)
    login = Login(tmp_path, spec.ssh_port, host_key, me)
    login.wait()
    said = login.run("hostname; df -BG --output=size / | tail -1; stat -c %a /var/lib/litevps/jobs; id -un")
    assert said.stdout.split() == ["web-1", "3G", "700", "root"], said.stderr
    await hypervisor.ensure_removed(spec.vps_id)
