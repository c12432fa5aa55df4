"""The steps of a VPS's life, each repeatable, each with a deadline."""
