"""Tests of what PostgreSQL does for us: the store, read models, counters, leases and migrations."""
