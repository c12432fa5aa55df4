"""Alerts at work: raising what is to be told, and sending the mail that tells it."""
