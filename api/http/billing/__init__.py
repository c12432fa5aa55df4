"""Money over HTTP: paid in and given back, and what became of it."""
