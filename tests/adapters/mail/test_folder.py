"""The folder that mail is put into."""

import asyncio
from pathlib import Path

import pytest

from adapters.mail.folder import FolderMailer
from adapters.simulated.clock import ManualClock
from tests.contracts.mailers import A_MAIL

pytestmark = pytest.mark.anyio


async def test_the_name_of_a_file_tells_time_and_kind(tmp_path: Path) -> None:
    clock = ManualClock()
    await FolderMailer(tmp_path / "mail", clock).send(A_MAIL)
    clock.advance(1)
    await FolderMailer(tmp_path / "mail", clock).send(A_MAIL)

    first, second = sorted(file.name for file in (tmp_path / "mail").iterdir())
    assert first.endswith("Z-low-balance.eml")
    assert first[:8].isdigit()
    assert first < second


async def test_mails_of_one_instant_do_not_take_each_others_place(tmp_path: Path) -> None:
    mailer = FolderMailer(tmp_path, ManualClock())
    await asyncio.gather(*(mailer.send(A_MAIL) for _ in range(10)))

    assert suffixes_in(tmp_path) == [".eml"] * 10, "something unfinished was left"


def suffixes_in(folder: Path) -> list[str]:
    return [file.suffix for file in folder.iterdir()]
