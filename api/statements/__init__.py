"""Statements: drawn up from what is recorded, numbered once, told as JSON, CSV and PDF."""
