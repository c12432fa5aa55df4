"""Numbered SQL files, applied in order: data, imported by nobody."""
