"""Asks a guest how the user data that it was given has ended: a stranger's answer, read within bounds."""

from domain.compute.ports import JobOutcome, UserDataSeen

OUTPUT_BYTES = 4_096
ANSWER_BYTES_MAX = OUTPUT_BYTES + 64
TIMEOUT_S = 15

COMMAND = f"""
state=/var/lib/litevps log=/var/log/user-data.log
[ -e /usr/bin/cloud-init ] && log=/var/log/cloud-init-output.log
status=pending
if [ -s $state/user-data.status ]; then # Of an image of ours.
    status=$(head -c 3 $state/user-data.status)
elif [ ! -e $state/instance-id ] && [ -s /run/cloud-init/result.json ]; then
    grep -q '"errors": *\\[\\]' /run/cloud-init/result.json && status=0 || status=1
fi
printf '%s\\n' "$status"
[ "$status" = pending ] || tail -c {OUTPUT_BYTES} $log
"""


def read_answer(outcome: JobOutcome) -> UserDataSeen | None:
    """Return what a guest answered; None: it has not ended, or what it says makes no sense."""
    status, newline, output = outcome.stdout.text.partition(b"\n")
    if not newline or not status.isdigit() or len(status) > 3:
        return None
    return UserDataSeen(succeeded=int(status) == 0, output=output[-OUTPUT_BYTES:])
