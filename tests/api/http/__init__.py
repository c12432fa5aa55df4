"""HTTP, tested as a client sees it."""
