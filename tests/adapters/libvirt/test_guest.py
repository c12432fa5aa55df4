"""What a guest finds when it has booted."""

from pathlib import Path

import msgspec
import pytest

from adapters.libvirt.hypervisor import LibvirtHypervisor
from adapters.libvirt_host.host import EmbeddedHost
from adapters.ssh.guest_shell import SshGuestShell
from domain.compute.ports import GuestAddress, UserDataSeen
from tests.adapters.libvirt.conftest import Boot, BootedGuest, check_who_gets_in

pytestmark = [pytest.mark.anyio, pytest.mark.host]


def said(guest: BootedGuest, command: str) -> str:
    answer = guest.login.run(command)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_a_guest_has_the_name_it_was_given(guest: BootedGuest) -> None:
    assert said(guest, "hostname; getent hosts web-1").split() == ["web-1", "127.0.1.1", "web-1"]


def test_the_file_system_is_as_large_as_the_disk_asked_for(guest: BootedGuest) -> None:
    assert said(guest, "df -BG --output=size / | tail -1") == "3G"


async def test_a_guest_has_another_name_and_a_larger_disk_from_its_next_start_on(
    booted: Boot, hypervisor: LibvirtHypervisor
) -> None:
    guest = await booted(hostname="web-1", disk_gb=2)
    assert said(guest, "echo kept > /root/file; sync; hostname") == "web-1"
    await hypervisor.ensure_off(guest.spec.vps_id, grace_s=0)
    await hypervisor.ensure_running(
        msgspec.structs.replace(
            guest.spec, generation=2, hostname="web-2", disk_gb=3, memory_mb=guest.spec.memory_mb + 64
        )
    )
    guest.login.wait()

    assert said(guest, "hostname; cat /root/file; df -BG --output=size / | tail -1").split() == ["web-2", "kept", "3G"]


def test_exactly_the_keys_given_may_log_in(guest: BootedGuest) -> None:
    assert said(guest, "cat /root/.ssh/authorized_keys") == guest.spec.authorized_keys[0]
    assert said(guest, "stat -c %a /root/.ssh /root/.ssh/authorized_keys").split() == ["700", "600"]
    assert said(guest, "cut -d: -f2 /etc/shadow | sort -u").split() == ["!", "*"], "no passwords"


def test_the_key_that_was_put_in_gets_in_and_no_other(guest: BootedGuest, tmp_path: Path) -> None:
    check_who_gets_in(guest, tmp_path)


def test_the_host_key_is_the_one_handed_in_and_the_only_one(guest: BootedGuest) -> None:
    assert said(guest, "ls /etc/ssh/ssh_host_*").split() == [
        "/etc/ssh/ssh_host_ed25519_key",
        "/etc/ssh/ssh_host_ed25519_key.pub",
    ]
    assert said(guest, "cat /etc/ssh/ssh_host_ed25519_key").strip() == guest.spec.host_key_private.strip()


def test_there_is_a_private_place_for_jobs_in_memory(guest: BootedGuest) -> None:
    assert said(guest, "stat -c '%a %U' /run/litevps; stat -f -c %T /run/litevps").split() == ["700", "root", "tmpfs"]


def test_devices_are_those_that_udev_would_make(guest: BootedGuest) -> None:
    links = {"fd": "self/fd", "stdin": "self/fd/0", "stdout": "self/fd/1", "stderr": "self/fd/2", "core": "kcore"}
    asked = "; ".join(f"readlink /dev/{name}" for name in links)
    assert said(guest, asked).split() == [f"/proc/{target}" for target in links.values()]
    assert said(guest, "readlink /dev/rtc") == "rtc0"
    devices = "null zero full random urandom tty ptmx kmsg console rtc0 vda pts shm"
    assert said(guest, f"for d in {devices}; do [ -e /dev/$d ] || echo $d; done") == ""
    open_to_all = "null zero full random urandom tty ptmx"
    assert set(said(guest, f"cd /dev; stat -c '%a %F' {open_to_all}").splitlines()) == {"666 character special file"}
    assert said(guest, "ls -ld /dev/shm /tmp /var/tmp /run/lock | cut -c1-10").split() == ["drwxrwxrwt"] * 4
    assert said(guest, "(echo out > /dev/stdout; echo err > /dev/stderr) 2>&1 | sort").split() == ["err", "out"]
    assert said(guest, "echo in | cat /dev/stdin; diff <(echo a) <(echo a) && echo same").split() == ["in", "same"]
    assert said(guest, "hwclock --show >/dev/null && echo shown") == "shown"


def test_time_zones_and_characters_are_there(guest: BootedGuest) -> None:
    assert said(guest, "TZ=Europe/Berlin date -d 2026-07-01T12:00Z +%H%Z; TZ=Asia/Tokyo date -d @0 +%H%Z").split() == [
        "14CEST",
        "09JST",
    ]
    assert said(guest, "date +%Z; locale -a | grep -i c.utf; echo $LANG").split() == ["UTC", "C.utf8", "C.UTF-8"]
    assert said(guest, "printf ü | wc -m") == "1"


def test_what_ordinary_scripts_touch_works(guest: BootedGuest) -> None:
    assert len(said(guest, "cat /etc/machine-id")) == 32
    assert (
        said(guest, "test -r /etc/resolv.conf && test -d /run/lock && test /var/run -ef /run && echo there") == "there"
    )
    assert said(guest, 'f=$(mktemp) && d=$(mktemp -d) && rm -r "$f" "$d" && echo made') == "made"
    assert said(guest, "seq 30000 | sort -S 100K -R | sort -n | tail -n1; ls -A /tmp | wc -l").split() == ["30000", "0"]
    assert said(guest, "ps -p 1 -o comm=; df -h / | wc -l; ip -br address | grep -c lo; id -un").split() == [
        "init",
        "2",
        "1",
        "root",
    ]
    assert said(guest, "getent passwd nobody | cut -d: -f3; getent services ssh | cut -c1-3").split() == [
        "65534",
        "ssh",
    ]


def test_a_control_group_is_killed_whole(guest: BootedGuest) -> None:
    script = """
        mkdir /sys/fs/cgroup/test
        (echo $BASHPID >/sys/fs/cgroup/test/cgroup.procs; setsid sleep 300 & sleep 300) >/dev/null 2>&1 &
        sleep 0.5; wc -l </sys/fs/cgroup/test/cgroup.procs
        echo 1 >/sys/fs/cgroup/test/cgroup.kill
        sleep 0.5; wc -l </sys/fs/cgroup/test/cgroup.procs; rmdir /sys/fs/cgroup/test
    """
    before, after = said(guest, script).split()
    assert int(before) >= 2
    assert after == "0"


def test_the_usual_tools_are_there(guest: BootedGuest) -> None:
    tools = "bash awk sed grep find tar gzip ps free setsid setpriv flock ip less sha256sum timeout stdbuf"
    assert said(guest, f"for tool in {tools}; do command -v $tool >/dev/null || echo $tool; done") == ""


def test_the_guest_is_bookworm_and_nobody_else_runs_in_it(guest: BootedGuest) -> None:
    assert said(guest, ". /etc/os-release; echo $VERSION_CODENAME") == "bookworm"
    assert "systemd" not in said(guest, "ps -eo comm")


def test_qemu_is_unprivileged_and_its_system_calls_are_filtered(guest: BootedGuest, libvirt_host: EmbeddedHost) -> None:
    pid_file = libvirt_host.socket.parent / "qemu" / f"litevps-{guest.spec.vps_id}.pid"
    status = Path("/proc", pid_file.read_text().strip(), "status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in fields["Uid"].split()
    assert int(fields["CapEff"], 16) == 0
    assert fields["Seccomp"] == "2", "2 is a filter (proc(5))"


async def test_a_users_script_runs_once_in_the_life_of_a_guest(booted: Boot) -> None:
    script = '#!/bin/bash\necho "ran as $(id -un) on $(hostname)" >> /root/ran\necho to the log\n'
    guest = await booted(hostname="scripted", user_data=script)
    assert said(guest, "until [ -s /var/lib/litevps/user-data.status ]; do sleep 0.1; done; cat /root/ran") == (
        "ran as root on scripted"
    )
    assert said(guest, "cat /var/log/user-data.log") == "to the log"
    shell = SshGuestShell(guest.keys.private)
    address = GuestAddress(guest.spec.vps_id, "127.0.0.1", guest.spec.ssh_port, guest.keys.public)
    assert await shell.find_user_data(address) == UserDataSeen(succeeded=True, output=b"to the log\n")
    await shell.close()
    # What init does at the next boot:
    assert said(guest, "/usr/lib/litevps/user-data; wc -l </root/ran") == "1"
    # And where it had been cut short:
    again = "rm /var/lib/litevps/user-data.status; /usr/lib/litevps/user-data; wc -l </root/ran"
    assert said(guest, f"{again}; cat /var/lib/litevps/user-data.status").split() == ["1", "255"]
    assert "cut short" in said(guest, "tail -1 /var/log/user-data.log")


async def test_cloud_config_is_left_alone_and_the_console_says_so(booted: Boot, libvirt_host: EmbeddedHost) -> None:
    guest = await booted(user_data="#cloud-config\nruncmd: [touch /root/ran]\n")
    assert said(guest, "sleep 0.5; test ! -e /root/ran && echo no") == "no"
    console = libvirt_host.guests / str(guest.spec.vps_id) / "console.log"
    assert "user-data is no script" in console.read_text()
    assert said(guest, "cat /var/lib/litevps/user-data.status; cat /var/log/user-data.log").startswith("255")
