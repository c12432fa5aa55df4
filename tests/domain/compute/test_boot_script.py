"""User data that a guest could do nothing with is refused before it is recorded, and the reason says what to change."""

import msgspec
import pytest

from domain.compute import admission
from domain.compute.boot_script import SCRIPT_BYTES_MAX, wrong_boot_script
from domain.errors import Invalid
from domain.pricing.price_book import PriceBook
from domain.wallet.vps_limits import VpsLimits
from domain.wallet.wallet import Wallet
from tests.domain.compute.lives import CREATE, at

LITE = "debian-12-lite"


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/sh\ntouch /root/ran\n",
        "#!/bin/sh",
        "#! /usr/bin/env bash\necho ü\n",
        "#!/bin/bash -eu\r\r\nprintf 'a\rb'".replace("\r\r\n", "\n"),
        "#!/bin/sh\n" + "#" * (SCRIPT_BYTES_MAX - 10),
    ],
)
def test_a_script_is_taken(script: str) -> None:
    assert wrong_boot_script(script, LITE) is None


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("", "must be a script"),
        ("touch /root/ran\n", "must be a script"),
        ("#cloud-config\nruncmd: [true]\n", "is cloud-config"),
        ("#cloud-config", "is cloud-config"),
        ("\ufeff#!/bin/sh\n", "byte order mark"),
        ("#!/bin/sh\r\ntouch /root/ran\r\n", "CR LF"),
        ("#!/bin/sh\ntouch /root/ran\r\n", "CR LF"),
        ("\n#!/bin/sh\n", "take out the blank lines or spaces"),
        (" \t#!/bin/sh\n", "take out the blank lines or spaces"),
        ("#!\n", "absolute path"),
        ("#!sh\n", "absolute path"),
        ("#!/" + "a" * 253 + "\n", "first line of at most 255 bytes"),
        ("#!/bin/sh\n\0", "NUL"),
        ("#!/bin/sh\n" + "#" * (SCRIPT_BYTES_MAX - 9), "at most 65536 bytes"),
        ("#!/bin/sh\n" + "ü" * (SCRIPT_BYTES_MAX // 2), "at most 65536 bytes"),
    ],
)
def test_anything_else_is_refused_with_what_to_change(text: str, change: str) -> None:
    assert change in (wrong_boot_script(text, LITE) or "")


def test_cloud_config_is_taken_where_the_image_understands_it() -> None:
    assert wrong_boot_script("#cloud-config\nruncmd: [true]\n", "debian-12", cloud_config=True) is None


def test_a_vps_is_not_recorded_with_user_data_that_cannot_run() -> None:
    command = msgspec.structs.replace(CREATE, user_data="touch /root/ran")
    with pytest.raises(Invalid) as refusal:
        admission.create_vps(None, Wallet(), PriceBook({}), (), VpsLimits(1, 1), command, at(0))
    assert set(refusal.value.facts["fields"]) == {"user_data"}  # type: ignore[arg-type]
