"""Alerts: what accounts are told of by mail."""
