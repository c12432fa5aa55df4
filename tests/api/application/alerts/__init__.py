"""Tests of raising alerts and sending mail."""
