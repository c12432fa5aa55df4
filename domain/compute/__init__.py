"""Compute: the life of a VPS, the steps that bring it about, and what hosts were seen to run."""
