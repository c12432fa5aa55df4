"""UUIDv7 (RFC 9562), which sort by the time at which they were made."""

from uuid import UUID

from uuid_utils.compat import uuid7


class TimeOrderedIds:
    """Makes ids that no other process makes."""

    def new(self) -> UUID:
        """Return a new UUIDv7."""
        return uuid7()
