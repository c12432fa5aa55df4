"""Tests of what is done about payments outside of requests."""
