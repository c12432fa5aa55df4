"""The ledger as the log of applications that are written with the library ``eventsourcing``."""
