"""Accounts, whoever asks: made, logged into, verified, recovered and closed."""
