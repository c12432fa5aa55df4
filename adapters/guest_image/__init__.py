"""Builds the images that guests start from, out of Debian packages only."""
