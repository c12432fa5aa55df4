"""PostgreSQL behind the ports: the event store, the read models' access, counters, leases and migrations."""
