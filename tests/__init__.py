"""LiteVPS in rehearsal: every promise the product makes, held to by a test."""
