"""The PostgreSQL that comes in a wheel, run in a folder of ours by whoever may run it."""
