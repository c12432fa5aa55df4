"""Adapters that keep everything in this process's memory, for tests and for development without a database."""
