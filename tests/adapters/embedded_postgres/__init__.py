"""Tests of the embedded PostgreSQL: made, adopted, stopped, and never left behind."""
