"""Use cases and queries, whoever asks: aggregates are loaded, a decision is made, its events are appended."""
