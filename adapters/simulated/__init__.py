"""Hosts and guests that are only played, in memory, for tests and trials."""
