"""Alerts: who is to be told by mail that funds run out, and the mail that follows from it."""
