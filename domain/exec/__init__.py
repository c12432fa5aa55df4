"""Exec: commands that run in a guest as jobs, and what became of them."""
