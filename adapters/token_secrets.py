"""Secrets of access tokens, from the operating system's randomness."""

from secrets import token_urlsafe

SECRET_BYTES = 32


class RandomTokenSecrets:
    """Implements ``domain.tokens.ports.TokenSecrets``."""

    def new(self) -> str:
        """Return ``vtk_`` and 256 random bits in base64, as URLs have it."""
        return f"vtk_{token_urlsafe(SECRET_BYTES)}"
