"""The persistence module: what the library is pointed to by ``PERSISTENCE_MODULE=adapters.eventsourcing.factory``.

The database is told by the variables of the library's own PostgreSQL module: ``POSTGRES_HOST``, ``POSTGRES_DBNAME`` …
"""

from typing import Any, NoReturn

from eventsourcing.persistence import InfrastructureFactory, Mapper, NotSupportedError, TrackingRecorder, Transcoder
from eventsourcing.postgres import BasePostgresFactory

from adapters.eventsourcing.mapper import LedgerMapper
from adapters.eventsourcing.recorders import LedgerAggregateRecorder, LedgerApplicationRecorder

_NO_PLACE = "the ledger keeps no followers' places: a view keeps its own, in the transaction that changes it"


class LedgerFactory(BasePostgresFactory[TrackingRecorder], InfrastructureFactory[TrackingRecorder]):
    """Opens the ledger as the log of an application."""

    def mapper(
        self, transcoder: Transcoder | None = None, mapper_class: type[Mapper[Any]] | None = None
    ) -> Mapper[Any]:
        """Return a mapper; that of the ledger unless another is asked for."""
        is_told = mapper_class is not None or self.env.get(self.MAPPER_TOPIC)
        return super().mapper(transcoder, mapper_class if is_told else LedgerMapper)

    def aggregate_recorder(self, purpose: str = "events") -> LedgerAggregateRecorder:
        """Return a recorder of streams; raises NotSupportedError for anything but events, such as snapshots."""
        if purpose != "events":
            raise NotSupportedError(f"the ledger keeps no {purpose}")
        return LedgerAggregateRecorder(self.datastore)

    def application_recorder(self) -> LedgerApplicationRecorder:
        """Return a recorder of all events."""
        return LedgerApplicationRecorder(self.datastore)

    def tracking_recorder(self, tracking_recorder_class: type[Any] | None = None) -> NoReturn:  # noqa: ARG002
        """Raise NotSupportedError."""
        raise NotSupportedError(_NO_PLACE)

    def process_recorder(self) -> NoReturn:
        """Raise NotSupportedError."""
        raise NotSupportedError(_NO_PLACE)
