"""Promises about money, held against histories that nobody thought of."""
