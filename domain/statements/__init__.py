"""Statements: what moved in a wallet in one month, numbered once the month is over."""
