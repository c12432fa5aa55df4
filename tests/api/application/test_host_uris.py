"""Hosts elsewhere are named by libvirt's addresses, and what cannot be meant is refused before anything is started."""

from pathlib import Path, PurePosixPath

import pytest

from api.application.host_uris import BadHostUri, is_remote, parse_remote_uri
from api.application.settings import SettingsRefused, check_servable, load_settings


def test_a_host_by_ssh_has_defaults_that_fit_a_stock_libvirt() -> None:
    uri = parse_remote_uri("qemu+ssh://h1.example/system")

    assert (uri.hostname, uri.user, uri.ssh_port) == ("h1.example", "root", 22)
    assert (uri.socket, uri.folder) == ("/var/run/libvirt/libvirt-sock", PurePosixPath("/var/lib/litevps"))
    assert (uri.kvm, uri.tls) == (None, None)


def test_all_of_it_can_be_told() -> None:
    uri = parse_remote_uri("qemu+ssh://vps@[2001:db8::1]:2222/system?folder=/srv/vps&socket=/run/x&kvm=no")

    assert (uri.hostname, uri.user, uri.ssh_port) == ("2001:db8::1", "vps", 2222)
    assert (uri.socket, uri.folder, uri.kvm) == ("/run/x", PurePosixPath("/srv/vps"), False)


def test_with_tls_libvirt_is_told_its_own_parameters_and_none_of_ours() -> None:
    uri = parse_remote_uri("qemu+tls://h1:16515/system?pkipath=/etc/pki/vps&ssh_port=2222&ssh_user=vps&kvm=yes")

    assert uri.tls == "qemu+tls://h1:16515/system?pkipath=%2Fetc%2Fpki%2Fvps"
    assert (uri.user, uri.ssh_port, uri.kvm) == ("vps", 2222, True)


def test_a_host_is_the_same_for_whoever_drives_it_with_whatever_key_or_user() -> None:
    one, other = parse_remote_uri("qemu+ssh://a@h1/system"), parse_remote_uri("qemu+tls://h1/system?kvm=no")

    assert one.identity == other.identity
    assert one.identity != parse_remote_uri("qemu+ssh://h1/system?folder=/srv").identity


@pytest.mark.parametrize(
    "uri",
    [
        "qemu+ssh:///system",
        "qemu+ssh://h1/session",
        "qemu+ssh://root:secret@h1/system",
        "qemu+ssh://h1:99999/system",
        "qemu+ssh://h1/system?no_verify=1",
        "qemu+tls://h1/system?no_verify=1",
        "qemu+ssh://h1/system?command=/tmp/x",
        "qemu+ssh://h1/system?folder=relative",
        "qemu+ssh://h1/system?folder=/a/../b",
        "qemu+ssh://h1/system?kvm=maybe",
        "qemu+tls://h1/system?ssh_port=x",
        "qemu+ssh://h1/system#x",
    ],
)
def test_what_cannot_be_meant_is_refused(uri: str) -> None:
    with pytest.raises(BadHostUri):
        parse_remote_uri(uri)


def test_a_libvirt_here_is_none_of_them() -> None:
    assert not is_remote("qemu:///system")
    assert not is_remote("embedded")
    assert is_remote("qemu+tls://h1/system")


def test_a_service_with_hosts_elsewhere_needs_a_key_and_known_hosts(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key")
    flags = {
        "development": True,
        "compute": "embedded, qemu+ssh://h1/system",
        "host_ssh_key_file": str(tmp_path / "key"),
    }

    with pytest.raises(SettingsRefused, match="LITEVPS_HOST_KNOWN_HOSTS_FILE must name a file"):
        check_servable(load_settings(flags, {}).settings)
    (tmp_path / "known").write_text("")
    known = {"host_known_hosts_file": str(tmp_path / "known")}
    check_servable(load_settings(flags | known, {}).settings)
    with pytest.raises(SettingsRefused, match=r"compute: qemu.ssh://h1/x"):
        check_servable(load_settings(flags | known | {"compute": "qemu+ssh://h1/x"}, {}).settings)
