"""What a guest finds when it has booted."""

from pathlib import Path

import pytest

from adapters.libvirt_host.host import EmbeddedHost
from tests.adapters.libvirt.conftest import Boot, BootedGuest

pytestmark = [pytest.mark.anyio, pytest.mark.host]


def said(guest: BootedGuest, command: str) -> str:
    answer = guest.login.run(command)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_a_guest_has_the_name_it_was_given(guest: BootedGuest) -> None:
    assert said(guest, "hostname; getent hosts web-1").split() == ["web-1", "127.0.1.1", "web-1"]


def test_the_file_system_is_as_large_as_the_disk_asked_for(guest: BootedGuest) -> None:
    assert said(guest, "df -BG --output=size / | tail -1") == "3G"


def test_exactly_the_keys_given_may_log_in(guest: BootedGuest) -> None:
    assert said(guest, "cat /root/.ssh/authorized_keys") == guest.spec.authorized_keys[0]
    assert said(guest, "stat -c %a /root/.ssh /root/.ssh/authorized_keys").split() == ["700", "600"]
    assert said(guest, "cut -d: -f2 /etc/shadow | sort -u").split() == ["!", "*"], "no passwords"


def test_the_host_key_is_the_one_handed_in_and_the_only_one(guest: BootedGuest) -> None:
    assert said(guest, "ls /etc/ssh/ssh_host_*").split() == [
        "/etc/ssh/ssh_host_ed25519_key",
        "/etc/ssh/ssh_host_ed25519_key.pub",
    ]
    assert said(guest, "cat /etc/ssh/ssh_host_ed25519_key").strip() == guest.spec.host_key_private.strip()


def test_there_is_a_private_folder_for_jobs(guest: BootedGuest) -> None:
    assert said(guest, "stat -c '%a %U %F' /var/lib/litevps/jobs") == "700 root directory"


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
    # What init does at the next boot:
    assert said(guest, "/usr/lib/litevps/user-data; wc -l </root/ran") == "1"


async def test_cloud_config_is_left_alone_and_the_console_says_so(booted: Boot, libvirt_host: EmbeddedHost) -> None:
    guest = await booted(user_data="#cloud-config\nruncmd: [touch /root/ran]\n")
    assert said(guest, "sleep 0.5; test ! -e /root/ran && echo no") == "no"
    console = libvirt_host.guests / str(guest.spec.vps_id) / "console.log"
    assert "user-data is no script" in console.read_text()
