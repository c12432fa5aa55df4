"""The audit: whether the ledger keeps its promises, told from the events alone."""
