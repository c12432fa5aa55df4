"""Checks of the texts that are kept beside the events: each is there, and is the one that its event tells of."""

from api.application.audit.findings import Check
from domain import codec
from domain.accounts.events import AccountErased
from domain.blobs import Blob
from domain.events import Event
from domain.evidence import Evidence
from domain.ids import AccountId, StreamId
from domain.ports import Recorded


class KeptTexts:
    """Sees every event once."""

    def __init__(self) -> None:
        self._told: list[tuple[int, StreamId, AccountId | None, str, Blob]] = []
        self._erased: set[AccountId] = set()
        self.check = Check("every text that is kept beside an event is the one that it tells of")

    def visit(self, recorded: Recorded, event: Event) -> None:
        """Look at an event."""
        if isinstance(event, AccountErased):
            self._erased.add(event.account_id)
        for field, told in codec.blobs_of(event):
            account_id = codec.decode_metadata(recorded).account_id
            self._told.append((recorded.position, recorded.stream, account_id, field, told))

    def finish(self, evidence: Evidence) -> None:
        """Compare with what is kept."""
        for position, stream, account_id, field, told in self._told:
            kept = evidence.blobs.get(stream, {}).get(field)
            # Of an erased account nothing is to be there; that it is gone is for the erasure to see to.
            holds = account_id in self._erased if kept is None else kept == (account_id, told.sha256)
            missing = "is not kept" if kept is None else "is kept as another, or for another account"
            self.check.expect(holds, f"position {position}: {field} {missing}")
