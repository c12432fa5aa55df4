"""User data: how what a guest was given to do at its first boot has ended, by the guest's own word."""

from domain.compute import events as recorded
from domain.compute.ports import UserDataSeen
from domain.compute.vps import Vps
from domain.deciding import NOTHING, Decision, recorded_in
from domain.ids import vps_stream
from domain.time import Instant

OUTPUT_BYTES_MAX = 2_048
LINES_MAX = 20


def ended(vps: Vps | None, seen: UserDataSeen, now: Instant) -> Decision:
    """Decide that the user data of a VPS has ended; nothing where that is known, or the VPS is gone."""
    if vps is None or vps.gone or vps.user_data_state != "pending":
        return NOTHING
    outcome = recorded.VpsUserDataEnded(
        outcome="done" if seen.succeeded else "failed", output=last_lines(seen.output), at=now
    )
    return recorded_in(vps_stream(vps.vps_id), outcome)


def last_lines(output: bytes) -> str:
    """Return the end of some output as text that may be shown: whole lines where they fit, no control characters."""
    text = output.decode(errors="replace").replace("\r\n", "\n")
    text = "".join(character for character in text if character in "\n\t" or character.isprintable())
    lines = text.rstrip("\n").split("\n")[-LINES_MAX:]
    kept: list[str] = []
    room = OUTPUT_BYTES_MAX
    for line in reversed(lines):
        size = len(line.encode()) + 1
        if size > room:
            if not kept:
                kept.append(line.encode()[-(room - 1) :].decode(errors="ignore"))
            break
        kept.append(line)
        room -= size
    return "\n".join(reversed(kept))
