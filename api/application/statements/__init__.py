"""Statements of a month: worked out, issued, put into words and forms."""
