"""Sessions that have ended, kept so that one more costs little however many there are."""

import msgspec

from domain.time import Instant

RECENT_MAX = 64
"""How many are kept apart from the others: only these are copied with each that is added."""


class EndedSessions(msgspec.Struct, frozen=True):
    """By ``jti``: when each would have expired anyway. Replaced, never changed.

    The older ones lie in parts, each bigger than the next; parts become one as they grow alike. So n of them are added
    in some n·log(n) steps, where copying all of them each time would take n²: anybody may log out as often as in.
    """

    recent: dict[str, Instant] = {}
    older: tuple[dict[str, Instant], ...] = ()

    def __contains__(self, jti: str) -> bool:
        """Tell whether a session has ended."""
        return jti in self.recent or any(jti in part for part in self.older)

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self.recent) + sum(len(part) for part in self.older)

    def and_one(self, jti: str, expires_at: Instant, earliest_now: Instant) -> "EndedSessions":
        """Return these and one more; of those that expired by ``earliest_now`` not all are kept."""
        part = _unexpired(self.recent, earliest_now) | {jti: expires_at}
        if len(part) < RECENT_MAX:
            return EndedSessions(part, self.older)
        older = self.older
        while older and len(older[-1]) <= len(part):
            part = _unexpired(older[-1], earliest_now) | part
            older = older[:-1]
        return EndedSessions({}, (*older, part))


NONE_ENDED = EndedSessions()


def _unexpired(part: dict[str, Instant], earliest_now: Instant) -> dict[str, Instant]:
    return {jti: expires_at for jti, expires_at in part.items() if expires_at > earliest_now}
