"""The world: one technology each, every one behind a port of the domain."""
