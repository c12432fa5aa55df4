"""What a new VPS may be given as user data: a script that its guest can run once, at its first boot."""

SCRIPT_BYTES_MAX = 65_536
FIRST_LINE_BYTES_MAX = 255
"""What the kernel reads of a script to find its interpreter (execve(2))."""

_BYTE_ORDER_MARK = "\ufeff"
_CLOUD_CONFIG = "#cloud-config"
_SCRIPT = "must be a script, its first two characters '#!', such as a first line '#!/bin/sh'"


def wrong_boot_script(text: str, image: str, *, cloud_config: bool = False) -> str | None:
    """Return why a guest of this image could do nothing with user data, and what to change; None where it can.

    ``cloud_config``: whether its guests understand cloud-init's ``#cloud-config``; the lite image has no cloud-init.
    """
    if "\0" in text:
        return "must not have NUL characters"
    if (size := len(text.encode())) > SCRIPT_BYTES_MAX:
        return f"must have at most {SCRIPT_BYTES_MAX} bytes in UTF-8, not {size}"
    if text.startswith(_BYTE_ORDER_MARK):
        return "begins with a byte order mark, which hides its first line: save it as UTF-8 without one"
    if "\r\n" in text:
        return "has lines that end in CR LF, which a shell takes for part of the line: save it with LF line ends"
    first_line = text.partition("\n")[0]
    if first_line.rstrip() == _CLOUD_CONFIG:
        return None if cloud_config else f"is cloud-config, which image {image} cannot read: {_SCRIPT}"
    if not text.startswith("#!"):
        early = text.lstrip().startswith("#!")
        return f"{_SCRIPT}: take out the blank lines or spaces before them" if early else _SCRIPT
    if not first_line[2:].lstrip(" \t").startswith("/"):
        return "must name its interpreter by an absolute path in its first line, such as '#!/bin/sh'"
    if len(first_line.encode()) > FIRST_LINE_BYTES_MAX:
        return f"must have a first line of at most {FIRST_LINE_BYTES_MAX} bytes"
    return None
